//! The quickstart's Gate, request by request.

use proptest::prelude::*;
use sidegate_bundle::{
    GateBundle,
    gate::{Access, KeepAlive, Mode, Paths},
};

mod routers;

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

/// A Gate with an admin's page, a public folder, and a page for everybody with a key.
fn pages(paths: Paths) -> GateBundle {
    use crate::builders::{exact, matching, prefix, rule, scopes};
    GateBundle {
        paths,
        rules: vec![
            rule("admin", vec![matching(prefix("/admin"), &[])], scopes(&["apps:write"])),
            rule("public", vec![matching(prefix("/public"), &[])], Access::Anonymous),
            rule("group", vec![matching(exact("/p/a%2Fb"), &[])], Access::Anonymous),
            rule("index", vec![matching(exact("/"), &[])], Access::Anonymous),
            rule("rest", vec![matching(prefix("/"), &[])], Access::Authenticated),
        ],
        ..quickstart()
    }
}

#[test]
fn a_doubtful_path_passes_only_where_every_reading_of_it_may() {
    let refuse = Index::new(&pages(Paths::default()));
    let pass = Index::new(&pages(Paths { encoded_slash: true, double_slash: true, semicolon: true }));
    let (public, rest, admin) =
        ("allowed | public | -", "401 missing_credentials | rest | -", "401 missing_credentials | admin | -");
    for (target, expected) in [
        // Two slashes.
        ("/public//x", public),
        ("/public//admin", public),
        ("//public/x", rest),
        ("//admin", rest),
        ("/x//admin", rest),
        ("//x/admin", rest),
        // A semicolon.
        ("/public/x;y=1", public),
        ("/public;y=1/x", rest),
        ("/admin;x", rest),
        ("/admin;x/y", rest),
        ("/public/..;/admin", "400 ambiguous_path | - | -"),
        ("/public/.;/admin", "400 ambiguous_path | - | -"),
        ("/public;/../admin", admin),
        // An encoded slash.
        ("/public/a%2Fb", public),
        ("/public/a%5Cb", public),
        ("/public%2Fa", rest),
        // A server that decodes asks for /p/a/b.
        ("/p/a%2Fb", "401 missing_credentials | rest | -"),
        ("/p/A%2FB", rest),
        ("/public/..%2Fadmin", "400 ambiguous_path | - | -"),
        ("/public%2F..%2Fadmin", "400 ambiguous_path | - | -"),
        ("/public/%2E%2E%5Cadmin", "400 ambiguous_path | - | -"),
        ("/public/%252E%252E%252Fadmin", "400 ambiguous_path | - | -"),
        // Together.
        ("/%2Fadmin", rest),
        ("/x;a%2Fb//admin", rest),
    ] {
        if target != "/public;/../admin" {
            assert_eq!(line(&refuse, "GET", target, &[]), "400 ambiguous_path | - | -", "{target}");
        }
        assert_eq!(line(&pass, "GET", target, &[]), expected, "{target}");
    }
}

#[test]
fn a_key_that_meets_one_reading_of_a_path_has_to_meet_the_others() {
    let pass = Index::new(&pages(Paths { encoded_slash: true, double_slash: true, semicolon: true }));
    let (ci, admin) = (api_key("ci"), api_key("admin"));
    for target in ["//admin", "/admin;x", "/%2Fadmin", "//x/admin", "/ADMIN;x/", "/%2F%2Fx%5Cadmin;/"] {
        let denied = line(&pass, "GET", target, &[("x-api-key", ci.expose())]);
        assert_eq!(denied, "403 insufficient_scope | admin | key:team-a.ci", "{target}");
        let allowed = line(&pass, "GET", target, &[("x-api-key", admin.expose())]);
        assert_eq!(allowed, "allowed key:team-a.admin | rest | key:team-a.admin", "{target}");
    }
}

#[test]
fn a_reading_without_a_rule_is_denied() {
    let mut bundle = pages(Paths { double_slash: true, ..Paths::default() });
    bundle.rules.truncate(2);
    let index = Index::new(&bundle);
    assert_eq!(line(&index, "GET", "/public//x", &[]), "allowed | public | -");
    assert_eq!(line(&index, "GET", "//public/x", &[]), "401 missing_credentials | - | -");
}

#[test]
fn what_passes_of_one_kind_lets_nothing_of_another_pass() {
    for (paths, passing) in [
        (Paths { encoded_slash: true, ..Paths::default() }, "/public/a%2Fb"),
        (Paths { double_slash: true, ..Paths::default() }, "/public//b"),
        (Paths { semicolon: true, ..Paths::default() }, "/public/a;b"),
    ] {
        let index = Index::new(&pages(paths));
        for target in ["/public/a%2Fb", "/public//b", "/public/a;b"] {
            let expected =
                if target == passing { "allowed | public | -" } else { "400 ambiguous_path | - | -" };
            assert_eq!(line(&index, "GET", target, &[]), expected, "{target} {paths:?}");
        }
    }
}

#[test]
fn a_method_of_the_gates_own_is_served_by_rules_that_name_it_or_any() {
    use crate::builders::{matching, prefix, rule};
    let mut bundle = quickstart();
    bundle.methods = vec!["PROPFIND".to_owned()];
    bundle.rules = vec![
        rule("dav", vec![matching(prefix("/dav"), &["PROPFIND"])], Access::Anonymous),
        rule("get", vec![matching(prefix("/"), &["GET"])], Access::Anonymous),
        rule("any", vec![matching(prefix("/any"), &[])], Access::Anonymous),
    ];
    let index = Index::new(&bundle);
    for (method, target, expected) in [
        ("PROPFIND", "/dav", "allowed | dav | -"),
        ("PROPFIND", "/any", "allowed | any | -"),
        ("PROPFIND", "/other", "401 missing_credentials | - | -"),
        ("REPORT", "/any", "405 method_not_allowed | - | -"),
        ("propfind", "/dav", "405 method_not_allowed | - | -"),
    ] {
        assert_eq!(line(&index, method, target, &[]), expected, "{method} {target}");
    }
}

#[test]
fn a_gate_that_audits_lets_through_what_is_about_access_and_nothing_else() {
    let audit = Index::new(&GateBundle { mode: Mode::Audit, ..quickstart() });
    let enforce = Index::new(&quickstart());
    let outcome = |index: &Index, method: &str, target: &str, headers: &[(&str, &str)]| {
        let decided = decide(index, &head(method, target, headers), now());
        match decided.verdict {
            Ok(permit) => {
                let who = permit.principal().map_or("-", |principal| &*principal.subject);
                format!("through {who} {}", permit.unenforced().map_or("-", Denial::word))
            }
            Err(denial) => denial.word().to_owned(),
        }
    };
    let (ci, old, suspended, stranger) =
        (api_key("ci"), api_key("old"), api_key("suspended"), api_key("stranger"));
    let key = |key| [("x-api-key", sidegate_bundle::ApiKey::expose(key))];
    for (method, target, headers, expected) in [
        ("GET", "/healthz", &[][..], "through - -"),
        ("GET", "/api/v1/apps", &[], "through - missing_credentials"),
        ("GET", "/api/v1/apps", &key(&ci), "through key:team-a.ci -"),
        ("POST", "/api/v1/apps", &key(&ci), "through key:team-a.ci insufficient_scope"),
        ("GET", "/team-b", &key(&ci), "through key:team-a.ci tenant_not_allowed"),
        ("GET", "/nowhere", &key(&ci), "through key:team-a.ci no_rule"),
        ("GET", "/nowhere", &[], "through - missing_credentials"),
        // Who cannot prove who it is, is nobody.
        ("GET", "/api/v1/apps", &key(&old), "through - expired"),
        ("GET", "/api/v1/apps", &key(&suspended), "through - suspended"),
        ("GET", "/api/v1/apps", &key(&stranger), "through - unknown_key"),
        (
            "GET",
            "/api/v1/apps",
            &[("x-api-key", "one"), ("x-api-key", "two")],
            "through - ambiguous_credentials",
        ),
        ("PROPFIND", "/api/v1/apps", &key(&ci), "through - method_not_allowed"),
        // What cannot be handed on in one form, and what may ask for more than is known here.
        ("TRACE", "/healthz", &[], "method_not_allowed"),
        ("get", "/healthz", &[], "method_not_allowed"),
        ("GET", "//healthz", &[], "ambiguous_path"),
        ("GET", "/healthz", &[("expect", "x")], "expectation_failed"),
        ("GET", "/healthz", &[("transfer-encoding", "gzip")], "doubtful_request"),
        ("GET", "http://elsewhere/", &[], "doubtful_request"),
        ("GET", "/later", &[], "rule_not_understood"),
    ] {
        assert_eq!(outcome(&audit, method, target, headers), expected, "{method} {target} {headers:?}");
        let enforced = outcome(&enforce, method, target, headers);
        let word = expected.rsplit(' ').next().unwrap();
        let same = if word == "-" { expected } else { word };
        assert_eq!(enforced, same, "the same is decided: {method} {target} {headers:?}");
    }
}

#[test]
fn what_this_version_can_do_it_does_and_what_it_cannot_it_denies() {
    let mut bundle = quickstart();
    bundle.forward.remove_headers = vec!["X-Debug".to_owned()];
    bundle.keep_alive = KeepAlive::Off;
    let features = bundle.features();
    bundle.rules[0].needs = features;
    assert_eq!(line(&Index::new(&bundle), "GET", "/healthz", &[]), "allowed | health | -");
    bundle.rules[0].needs.push("of tomorrow".to_owned());
    assert_eq!(line(&Index::new(&bundle), "GET", "/healthz", &[]), "403 rule_not_understood | health | -");
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
