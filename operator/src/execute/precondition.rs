//! Under which condition a live Secret may be written: whose it is, and whether it is still the
//! one that was seen. Pure; every write of [`cluster`](super::cluster) asks here first.

use k8s_openapi::api::core::v1::Secret;
use sidegate_bundle::{gate::SECRET_TYPE as BUNDLE_TYPE, record::FOR_ANNOTATION};

use crate::world::{CREDENTIAL_TYPE, Owner};

/// Whose a live Secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// Ours, for this object.
    Ours,
    /// Not ours, or for another object.
    Foreign,
}

/// Whose a Secret is that stands where a credential of `owner` should.
pub(super) fn credential(live: &Secret, owner: &Owner) -> Whose {
    let wanted = format!("{}/{}", owner.kind, owner.name);
    let annotations = live.metadata.annotations.as_ref();
    let made_for = annotations.and_then(|annotations| annotations.get(FOR_ANNOTATION));
    // Absent: a restore dropped it, and it may be adopted.
    let free = controller(live).is_none_or(|uid| uid == owner.uid);
    if is_credential(live) && made_for == Some(&wanted) && free { Whose::Ours } else { Whose::Foreign }
}

/// May a Secret be ours for some credential? Its type is the one thing that metadata do not show
/// and that nobody can change.
pub(super) fn is_credential(live: &Secret) -> bool {
    live.type_.as_deref() == Some(CREDENTIAL_TYPE)
}

/// Whose a Secret is that stands where a bundle should. One of an earlier Gate of the same name
/// is ours as well: its revisions go on. Its label is put right like all else.
pub(super) fn bundle(live: &Secret) -> Whose {
    if live.type_.as_deref() == Some(BUNDLE_TYPE) { Whose::Ours } else { Whose::Foreign }
}

/// Is it still the Secret that was seen, as it was seen?
pub(super) fn is_as_seen(live: &Secret, uid: &str, resource_version: &str) -> bool {
    live.metadata.uid.as_deref() == Some(uid)
        && live.metadata.resource_version.as_deref() == Some(resource_version)
}

/// The uid of the controller that owns it.
pub(super) fn controller(live: &Secret) -> Option<&str> {
    let references = live.metadata.owner_references.as_ref()?;
    let owner = references.iter().find(|reference| reference.controller == Some(true))?;
    Some(&owner.uid)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

    use super::*;
    use crate::world::KIND_LABEL;

    fn owner() -> Owner {
        Owner { kind: "ApiKey".to_owned(), name: "ci".to_owned(), uid: "uid-1".to_owned() }
    }

    fn secret(kind: &str, made_for: Option<&str>, label: Option<&str>, controller: Option<&str>) -> Secret {
        let map = |key: &str, value: Option<&str>| {
            value.map(|value| [(key.to_owned(), value.to_owned())].into_iter().collect())
        };
        let reference = |uid: &str| OwnerReference {
            controller: Some(true),
            uid: uid.to_owned(),
            ..OwnerReference::default()
        };
        Secret {
            metadata: ObjectMeta {
                annotations: map(FOR_ANNOTATION, made_for),
                labels: map(KIND_LABEL, label),
                owner_references: controller.map(|uid| vec![reference(uid)]),
                uid: Some("s".to_owned()),
                resource_version: Some("5".to_owned()),
                ..ObjectMeta::default()
            },
            type_: Some(kind.to_owned()),
            ..Secret::default()
        }
    }

    #[test]
    fn a_credential_is_ours_by_type_annotation_and_owner() {
        for (kind, made_for, controller, whose) in [
            (CREDENTIAL_TYPE, Some("ApiKey/ci"), Some("uid-1"), Whose::Ours),
            (CREDENTIAL_TYPE, Some("ApiKey/ci"), None, Whose::Ours),
            (CREDENTIAL_TYPE, Some("ApiKey/ci"), Some("uid-2"), Whose::Foreign),
            (CREDENTIAL_TYPE, Some("ApiKey/other"), Some("uid-1"), Whose::Foreign),
            (CREDENTIAL_TYPE, None, Some("uid-1"), Whose::Foreign),
            ("Opaque", Some("ApiKey/ci"), Some("uid-1"), Whose::Foreign),
        ] {
            let live = secret(kind, made_for, Some("credential"), controller);
            assert_eq!(credential(&live, &owner()), whose, "{kind} {made_for:?} {controller:?}");
        }
    }

    #[test]
    fn a_bundle_is_ours_by_type_whatever_its_label_and_owner() {
        for (kind, label, whose) in [
            (BUNDLE_TYPE, Some("bundle"), Whose::Ours),
            (BUNDLE_TYPE, Some("credential"), Whose::Ours),
            (BUNDLE_TYPE, None, Whose::Ours),
            ("Opaque", Some("bundle"), Whose::Foreign),
        ] {
            assert_eq!(bundle(&secret(kind, None, label, Some("earlier"))), whose, "{kind} {label:?}");
        }
    }

    #[test]
    fn what_was_seen_is_uid_and_resource_version() {
        let live = secret("Opaque", None, None, None);
        assert!(is_as_seen(&live, "s", "5"));
        assert!(!is_as_seen(&live, "s", "4"));
        assert!(!is_as_seen(&live, "t", "5"));
    }
}
