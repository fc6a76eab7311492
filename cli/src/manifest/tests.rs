use super::*;
use crate::output::Palette;

/// All that is said of these files.
fn said(files: &[(&str, &str)]) -> String {
    let sources: Vec<_> = files.iter().map(|(name, text)| Source::new(*name, *text)).collect();
    let mut out = Vec::new();
    for problem in Manifest::of(&sources, &Stored::new()).expect_err("the files have mistakes") {
        problem.write(&mut out, Palette::plain()).unwrap();
    }
    String::from_utf8(out).unwrap()
}

fn read(text: &str) -> Manifest {
    Manifest::of(&[Source::new("a.yaml", text)], &Stored::new())
        .unwrap_or_else(|_| panic!("{}", said(&[("a.yaml", text)])))
}

const GATE: &str = "apiVersion: sidegate.dev/v1alpha1\nkind: Gate\nmetadata: {name: api, namespace: dify}\nspec:\n  ports: [{port: 8080}]\n";

#[test]
fn our_objects_are_read_and_the_others_counted() {
    let text = format!(
        "---\n# nothing\n---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: dify, labels: {{a: b}}}}\n---\n{GATE}---\n\
         apiVersion: v1\nkind: List\nitems:\n- {{apiVersion: apps/v1, kind: Deployment, metadata: {{name: a}}}}\n\
         - {{apiVersion: apps/v1, kind: Deployment, metadata: {{name: b}}}}\n\
         - {{apiVersion: v1, kind: Secret, metadata: {{name: s}}, stringData: {{a: b}}}}\n---\n\
         apiVersion: sidegate.dev/v1alpha1\nkind: OAuthClient\nmetadata: {{name: ci, namespace: team-a}}\nspec: {{any: thing}}\n"
    );
    let manifest = read(&text);
    let names: Vec<_> =
        manifest.objects.iter().map(|object| (object.kind, object.name.to_string())).collect();
    assert_eq!(names, [(Kind::Namespace, "/dify".to_owned()), (Kind::Gate, "dify/api".to_owned())]);
    assert_eq!(manifest.count, 2);
    assert_eq!(manifest.skipped, BTreeMap::from([("Deployment".to_owned(), 2), ("Secret".to_owned(), 1)]));
    assert_eq!(manifest.not_built, [("OAuthClient".to_owned(), "team-a/ci".to_owned())]);
    assert_eq!(manifest.secrets, [ObjectName { namespace: "default".to_owned(), name: "s".to_owned() }]);
}

#[test]
fn json_is_read_like_yaml() {
    let json = serde_json::json!({"apiVersion": "sidegate.dev/v1alpha1", "kind": "Gate",
        "metadata": {"name": "api", "namespace": "dify"}, "spec": {"ports": [{"port": 8080}]}});
    let manifest = read(&serde_json::to_string_pretty(&json).unwrap());
    assert_eq!(manifest.objects[0].value, read(GATE).objects[0].value);
}

#[test]
fn what_an_api_server_added_means_nothing() {
    let text = "apiVersion: sidegate.dev/v1alpha1\nkind: Gate\nmetadata: {name: api, namespace: dify, uid: x, generation: 4, \
                resourceVersion: \"7\", creationTimestamp: 2026-01-01T00:00:00Z, managedFields: [{a: b}]}\n\
                spec:\n  ports: [{port: 8080}]\nstatus: {revision: 3}\n";
    assert_eq!(read(text).objects[0].value, read(GATE).objects[0].value);
}

#[test]
fn an_anchor_is_read_where_it_is_used() {
    let text = "apiVersion: sidegate.dev/v1alpha1\nkind: ApiKey\nmetadata: {name: a, namespace: t, labels: &l {x: \"1\"}}\nspec:\n  \
                grants:\n    - &g {gate: api, scopes: &s [a]}\n    - {<<: *g, gate: web}\n";
    let grants = &read(text).objects[0].value["spec"]["grants"];
    assert_eq!(
        *grants,
        serde_json::json!([{"gate": "api", "scopes": ["a"]}, {"gate": "web", "scopes": ["a"]}])
    );
}

#[test]
fn all_mistakes_of_all_files_are_said_at_once_and_where_they_are() {
    insta::assert_snapshot!(said(&[
        (
            "2-gate.yaml",
            "# The gate.\napiVersion: sidegate.dev/v1alpha1\nkind: Gate\nmetadata: {name: api, namespace: dify}\nspec:\n  \
             ports: [{port: 80800}]\n  mod: Audit\n  rules:\n    - match: [{path: {type: Prefix, value: /}}]\n      allow: anonymous\n",
        ),
        (
            "4-credentials.yaml",
            "apiVersion: sidegate.dev/v1alpha1\nkind: ApiKey\nmetadata:\n  name: ci-key\n  namespace: team-a\nspec:\n  \
             grants:\n    - gate: api\n      scope: [apps:read]\n  tenant: no\n",
        ),
    ]));
}

#[test]
fn the_rules_of_the_crd_are_said_at_the_field_that_breaks_them() {
    insta::assert_snapshot!(said(&[(
        "a.yaml",
        "apiVersion: sidegate.dev/v1alpha1\nkind: Gate\nmetadata: {name: api, namespace: dify}\nspec:\n  ports: [{port: 8080}]\n  \
         rules:\n    - name: both\n      allow: Anonymous\n      require: {scopes: [a]}\n    - name: slash\n      \
         match:\n        - path: {type: PathPrefix, value: /a/}\n      allow: Anonymous\n",
    )]));
}

#[test]
fn yaml_that_does_not_parse_does_not_hide_the_next_document() {
    insta::assert_snapshot!(said(&[(
        "a.yaml",
        "apiVersion: v1\nkind: [Namespace\n---\nkind: Namespace\napiVersion: v1\nmetadata: {name: Bad}\n---\n- a list\n---\nkind: Gate\n",
    )]));
}

#[test]
fn a_key_twice_and_an_object_twice_name_both_places() {
    let twice = "kind: Namespace\nkind: Namespace\napiVersion: v1\nmetadata: {name: a}\n";
    insta::assert_snapshot!(said(&[
        ("a.yaml", twice),
        ("b.yaml", GATE),
        ("c.yaml", &format!("---\n{GATE}"))
    ]));
}

#[test]
fn a_kind_version_or_group_that_does_not_exist_is_said() {
    insta::assert_snapshot!(said(&[(
        "a.yaml",
        "apiVersion: sidegate.dev/v1alpha1\nkind: APIKey\nmetadata: {name: a}\n---\napiVersion: sidegate.dev/v1\nkind: Gate\n\
         metadata: {name: a}\n---\napiVersion: sidegate.io/v1alpha1\nkind: Gate\nmetadata: {name: a}\n",
    )]));
}

#[test]
fn metadata_is_checked_as_an_api_server_does() {
    insta::assert_snapshot!(said(&[(
        "a.yaml",
        "apiVersion: sidegate.dev/v1alpha1\nkind: Gate\nmetadata: {name: My_Gate, namepsace: dify, labels: {a: 1, b: yes}}\n\
         spec: {ports: [{port: 80}]}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {labels: {a: b}}\n---\n\
         apiVersion: v1\nkind: Namespace\n",
    )]));
}

#[test]
fn a_line_of_a_file_with_a_secret_is_not_shown() {
    let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {password: canary, password: canary}\n";
    let said = said(&[("a.yaml", text)]);
    assert!(said.starts_with("error: a.yaml:4:32: `password` stands twice in one map\n"), "{said}");
    assert!(!said.contains("canary"), "{said}");
}

#[test]
fn aliases_cannot_blow_a_file_up() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let inner = format!("*a{}, ", level - 1).repeat(10);
        text = format!("{text}a{level}: &a{level} [{inner}]\n");
    }
    assert!(said(&[("a.yaml", &text)]).contains("stand for more than 100000 values"));
}

#[test]
fn a_field_that_is_fixed_cannot_be_changed() {
    let key = |spec: &str| {
        format!(
            "apiVersion: sidegate.dev/v1alpha1\nkind: ApiKey\nmetadata: {{name: a, namespace: t}}\nspec:\n  grants: [{{gate: api}}]\n{spec}"
        )
    };
    let stored = read(&key("  type: App\n")).stored();
    let changed = |spec: &str| Manifest::of(&[Source::new("a.yaml", key(spec))], &stored);
    assert!(changed("  type: App\n  suspended: true\n").is_ok());
    let problems = changed("  type: Service\n").unwrap_err();
    let mut out = Vec::new();
    problems[0].write(&mut out, Palette::plain()).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}
