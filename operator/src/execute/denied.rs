//! What a 403 of the API server means: a right is missing, or a quota or a policy refuses. Pure.
//!
//! What the API server says is not passed on to the object: a policy may repeat anything of what
//! it refuses.

use kube::core::Status;
use sidegate_crds::condition::NoAccess;

/// The ClusterRole that holds all that the operator needs in a namespace.
const ROLE: &str = "sidegate-operator";

/// Is the namespace being deleted? Then nothing can be created in it any more, and nobody need
/// do anything about that.
pub(super) fn is_terminating(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}

/// What is denied in `namespace` by a 403 for `doing`, such as "create secrets".
pub(super) fn access(status: &Status, doing: &str, namespace: &str) -> NoAccess {
    NoAccess {
        action: doing.to_owned(),
        namespace: namespace.to_owned(),
        command: user(&status.message).map(|user| grant(&user, namespace)),
    }
}

/// Who lacks a right, if that is why: `secrets "x" is forbidden: User "<user>" cannot get
/// resource "secrets" …`.
fn user(message: &str) -> Option<String> {
    let (_, rest) = message.split_once(" is forbidden: User \"")?;
    let (user, rest) = rest.split_once('"')?;
    let plain = user.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":.-_@".contains(&byte));
    (plain && rest.starts_with(" cannot ")).then(|| user.to_owned())
}

fn grant(user: &str, namespace: &str) -> String {
    let whom = match user.strip_prefix("system:serviceaccount:") {
        Some(account) => format!("--serviceaccount={account}"),
        None => format!("--user={user}"),
    };
    format!("kubectl -n {namespace} create rolebinding {ROLE} --clusterrole={ROLE} {whom}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(message: &str) -> Option<String> {
        let status = Status { message: message.to_owned(), ..Status::default() };
        access(&status, "create secrets", "team-a").command
    }

    #[test]
    fn a_missing_right_names_the_command_that_grants_it() {
        let account = "secrets \"ci-api-key\" is forbidden: User \"system:serviceaccount:sidegate-system:sidegate-operator\" \
                       cannot get resource \"secrets\" in API group \"\" in the namespace \"team-a\"";
        let binding =
            "kubectl -n team-a create rolebinding sidegate-operator --clusterrole=sidegate-operator";
        assert_eq!(
            said(account).unwrap(),
            format!("{binding} --serviceaccount=sidegate-system:sidegate-operator")
        );
        let person =
            "secrets is forbidden: User \"jo@acme.com\" cannot create resource \"secrets\" in API group \"\"";
        assert_eq!(said(person).unwrap(), format!("{binding} --user=jo@acme.com"));
    }

    #[test]
    fn what_a_quota_or_a_policy_refuses_no_command_grants() {
        for message in [
            "secrets \"x\" is forbidden: exceeded quota: few, requested: count/secrets=1",
            "admission webhook \"a.b\" denied the request: sk-sg_canary",
            "secrets \"x\" is forbidden: User \"a b; rm\" cannot create resource \"secrets\"",
            "",
        ] {
            assert_eq!(said(message), None, "{message}");
        }
    }
}
