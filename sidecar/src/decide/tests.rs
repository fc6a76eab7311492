//! The quickstart's Gate, request by request.

use proptest::prelude::*;

use super::*;
use crate::builders::{api_key, head, now, quickstart};

/// One line: allowed or the status and word; rule; whose credential.
fn line(index: &Index, method: &str, target: &str, headers: &[(&str, &str)]) -> String {
    let decided = decide(index, &head(method, target, headers), now());
    let verdict = match &decided.verdict {
        Ok(permit) => match permit.principal() {
            Some(principal) => format!("allowed {}", principal.subject),
            None => "allowed".to_owned(),
        },
        Err(denial) => format!("{} {}", denial.answer(Some(index.face())).status, denial.word()),
    };
    let rule = decided.rule.as_deref().unwrap_or("-");
    let whose = decided.principal.as_ref().map_or("-", |principal| &*principal.subject);
    format!("{verdict} | {rule} | {whose}")
}

#[test]
fn the_quickstart_is_decided_like_this() {
    let index = Index::new(&quickstart());
    for (method, target, key, expected) in [
        // No credential.
        ("GET", "/healthz", "", "allowed | health | -"),
        ("POST", "/healthz", "", "allowed | health | -"),
        ("GET", "/healthz/x", "", "401 missing_credentials | - | -"),
        ("OPTIONS", "/api/v1/apps", "", "allowed | preflight | -"),
        ("OPTIONS", "*", "", "allowed | preflight | -"),
        ("GET", "/api/v1/apps", "", "401 missing_credentials | read | -"),
        ("POST", "/api/v1/apps", "", "401 missing_credentials | rest | -"),
        ("GET", "/nothing/here", "", "401 missing_credentials | - | -"),
        ("GET", "/later", "", "403 rule_not_understood | later | -"),
        // A key with apps:read.
        ("GET", "/api/v1/apps", "ci", "allowed key:team-a.ci | read | key:team-a.ci"),
        ("HEAD", "/api/v1/apps/7", "ci", "allowed key:team-a.ci | read | key:team-a.ci"),
        ("GET", "/api/v1/apps/", "ci", "allowed key:team-a.ci | read | key:team-a.ci"),
        ("GET", "/api/v1/apps?admin=1", "ci", "allowed key:team-a.ci | read | key:team-a.ci"),
        ("POST", "/api/v1/apps", "ci", "403 insufficient_scope | rest | key:team-a.ci"),
        ("DELETE", "/api/v1/apps/7", "ci", "403 insufficient_scope | rest | key:team-a.ci"),
        ("GET", "/api/v1/appsandmore", "ci", "403 no_rule | - | key:team-a.ci"),
        ("GET", "/nothing/here", "ci", "403 no_rule | - | key:team-a.ci"),
        ("GET", "/healthz", "ci", "allowed key:team-a.ci | health | key:team-a.ci"),
        ("POST", "/me", "ci", "allowed key:team-a.ci | rules[6] | key:team-a.ci"),
        ("PUT", "/me", "ci", "403 no_rule | - | key:team-a.ci"),
        ("GET", "/later", "ci", "403 rule_not_understood | later | key:team-a.ci"),
        // A key with all scopes of the apps.
        ("POST", "/api/v1/apps", "admin", "allowed key:team-a.admin | rest | key:team-a.admin"),
        ("GET", "/console", "admin", "403 type_not_allowed | people | key:team-a.admin"),
        // Tenants and types.
        ("GET", "/team-b/x", "b", "allowed key:team-a.b | team-b | key:team-a.b"),
        ("GET", "/team-b/x", "ci", "403 tenant_not_allowed | team-b | key:team-a.ci"),
        ("GET", "/console/x", "app", "allowed key:team-a.app | people | key:team-a.app"),
        ("GET", "/console/x", "ci", "403 insufficient_scope | people | key:team-a.ci"),
        // Times and standing.
        ("GET", "/api/v1/apps", "ending", "allowed key:team-a.ending | read | key:team-a.ending"),
        ("GET", "/api/v1/apps", "new", "allowed key:team-a.new | read | key:team-a.new"),
        ("GET", "/api/v1/apps", "old", "403 expired | read | key:team-a.old"),
        ("GET", "/api/v1/apps", "early", "403 not_yet_valid | read | key:team-a.early"),
        ("GET", "/api/v1/apps", "suspended", "403 suspended | read | key:team-a.suspended"),
        ("GET", "/api/v1/apps", "revoked", "403 revoked | read | key:team-a.revoked"),
        ("GET", "/nothing/here", "old", "403 expired | - | key:team-a.old"),
        ("GET", "/healthz", "old", "allowed | health | key:team-a.old"),
        // Not keys of this Gate.
        ("GET", "/api/v1/apps", "stranger", "403 unknown_key | read | -"),
        ("GET", "/nothing/here", "stranger", "403 unknown_key | - | -"),
        ("GET", "/healthz", "stranger", "allowed | health | -"),
        // Spellings of a path.
        ("GET", "/HEALTHZ", "", "401 missing_credentials | - | -"),
        ("GET", "/api/v1/%61pps", "ci", "allowed key:team-a.ci | read | key:team-a.ci"),
        ("GET", "/api/../api/v1/apps", "ci", "allowed key:team-a.ci | read | key:team-a.ci"),
        ("GET", "/healthz/../api/v1/apps", "", "401 missing_credentials | read | -"),
        ("GET", "/healthz%2f..%2fapi/v1/apps", "", "400 ambiguous_path | - | -"),
        ("GET", "//api/v1/apps", "ci", "400 ambiguous_path | - | -"),
        ("GET", "/api/v1/apps;x", "ci", "400 ambiguous_path | - | -"),
        // Heads.
        ("CONNECT", "api:80", "ci", "405 method_not_allowed | - | -"),
        ("TRACE", "/healthz", "", "405 method_not_allowed | - | -"),
        ("GET", "*", "ci", "400 doubtful_request | - | -"),
        ("GET", "http://elsewhere/healthz", "", "400 doubtful_request | - | -"),
        ("GET", "http://api/healthz", "", "allowed | health | -"),
    ] {
        let secret = api_key(key);
        let headers = [("x-api-key", secret.expose())];
        let headers = if key.is_empty() { &headers[..0] } else { &headers[..] };
        assert_eq!(line(&index, method, target, headers), expected, "{method} {target} {key}");
    }
}

#[test]
fn credentials_are_decided_like_this() {
    let (ci, admin) = (api_key("ci"), api_key("admin"));
    let bearer = |key: &sidegate_bundle::ApiKey| format!("Bearer {}", key.expose());
    let (ci_bearer, admin_bearer) = (bearer(&ci), bearer(&admin));
    let (ci, ci_bearer, admin_bearer) = (ci.expose(), ci_bearer.as_str(), admin_bearer.as_str());
    let by_header_only = Index::new(&quickstart());
    let mut bundle = quickstart();
    bundle.api_keys.bearer = true;
    bundle.api_keys.invalid_status = 401;
    let both_ways = Index::new(&bundle);
    let allowed = "allowed key:team-a.ci | read | key:team-a.ci";
    let missing = "401 missing_credentials | read | -";
    let two = "400 ambiguous_credentials | read | -";
    for (headers, header_only, both) in [
        (&[("x-api-key", ci)][..], allowed, allowed),
        (&[("authorization", ci_bearer)], missing, allowed),
        (&[("x-api-key", ci), ("authorization", ci_bearer)], allowed, allowed),
        (&[("x-api-key", ci), ("authorization", admin_bearer)], allowed, two),
        (&[("x-api-key", ci), ("authorization", "Bearer app-1")], allowed, two),
        (&[("x-api-key", ci), ("authorization", "Basic dTpw")], allowed, allowed),
        (&[("x-api-key", ci), ("x-api-key", ci)], two, two),
        (&[("x-api-key", "")], missing, missing),
        (&[("x-api-key", "wrong")], "403 malformed_key | read | -", "401 malformed_key | read | -"),
        (&[("authorization", "Bearer wrong")], missing, "401 malformed_key | read | -"),
        (&[("authorization", "Basic dTpw")], missing, missing),
        (&[("cookie", ci), ("x_api_key", ci)], missing, missing),
    ] {
        assert_eq!(line(&by_header_only, "GET", "/api/v1/apps", headers), header_only, "{headers:?}");
        assert_eq!(line(&both_ways, "GET", "/api/v1/apps", headers), both, "both ways: {headers:?}");
    }
}

#[test]
fn two_credentials_are_refused_on_anonymous_routes_as_well() {
    let headers = [("x-api-key", "one"), ("x-api-key", "two")];
    let index = Index::new(&quickstart());
    assert_eq!(line(&index, "GET", "/healthz", &headers), "400 ambiguous_credentials | health | -");
}

#[test]
fn another_spelling_is_denied_by_the_rule_that_it_would_get_around() {
    use crate::builders::{exact, matching, prefix, rule, scopes};
    use sidegate_bundle::gate::Access;
    let mut bundle = quickstart();
    bundle.rules = vec![
        rule("admin", vec![matching(exact("/admin"), &[])], scopes(&["apps:write"])),
        rule("public", vec![matching(prefix("/"), &[])], Access::Anonymous),
    ];
    let index = Index::new(&bundle);
    let (ci, admin) = (api_key("ci"), api_key("admin"));
    for (target, headers, expected) in [
        ("/other", &[][..], "allowed | public | -"),
        ("/ADMIN/", &[], "401 missing_credentials | admin | -"),
        ("/%41dmin", &[("x-api-key", ci.expose())], "403 insufficient_scope | admin | key:team-a.ci"),
        ("/Admin", &[("x-api-key", admin.expose())], "allowed key:team-a.admin | public | key:team-a.admin"),
    ] {
        assert_eq!(line(&index, "GET", target, headers), expected, "{target}");
    }
}

#[test]
fn an_audit_line_has_the_normal_path_or_the_raw_one_and_never_the_query() {
    let index = Index::new(&quickstart());
    for (method, target, path) in [
        ("GET", "/a/../b?secret", "/b"),
        ("GET", "/a%2fb?secret", "/a%2fb"),
        ("OPTIONS", "*", "*"),
        ("CONNECT", "a:80", ""),
        ("GET", "http://elsewhere/x?secret", "/x"),
    ] {
        let head = crate::builders::plain_head(method, target);
        assert_eq!(decide(&index, &head, now()).path(), path, "{target}");
    }
}

#[test]
fn a_closed_bundle_lets_nobody_in() {
    let bundle = sidegate_bundle::GateBundle::closed(quickstart().gate);
    let index = Index::new(&bundle);
    let key = api_key("ci");
    assert_eq!(line(&index, "GET", "/", &[]), "401 missing_credentials | - | -");
    assert_eq!(line(&index, "GET", "/", &[("x-api-key", key.expose())]), "403 unknown_key | - | -");
}

proptest! {
    #[test]
    fn only_a_right_key_that_counts_gets_past_a_rule_that_needs_one(
        headers in proptest::collection::vec(("(x-api-key|authorization|x-other)", "[ -~]{0,80}"), 0..4),
        path in "/api/v1/apps[/a-z%0-9.]{0,10}",
    ) {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        prop_assume!(path.parse::<http::Uri>().is_ok());
        let decided = decide(&Index::new(&quickstart()), &head("GET", &path, &headers), now());
        prop_assert!(decided.verdict.is_err() && decided.principal.is_none());
    }
}
