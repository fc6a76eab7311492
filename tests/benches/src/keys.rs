//! The keys of a run, in the form that each peer reads.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use jiff::Timestamp;
use sidegate_bundle::gate::{Access, CredentialType, GateName, Key, Rule, Standing};
use sidegate_bundle::{ApiKey, GateBundle, Revision, ScopeSet, document};

/// The keys, all valid.
pub(crate) struct Keys(Vec<ApiKey>);

// === impl Keys ===

impl Keys {
    /// So many new ones.
    pub(crate) fn mint(count: usize) -> Self {
        Self((0..count).map(|_| ApiKey::mint(&mut rand::rng())).collect())
    }

    /// Some of them, for an own load generator.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(ApiKey::expose)
    }

    fn subjects(&self) -> impl Iterator<Item = (&str, String)> {
        self.texts().enumerate().map(|(number, key)| (key, format!("key:team-a.key-{number}")))
    }

    /// `key subject`, a line each.
    pub(crate) fn haproxy(&self) -> String {
        self.lines(|text, key, subject| writeln!(text, "{key} {subject}"))
    }

    /// `key "subject";`, a line each.
    pub(crate) fn nginx(&self) -> String {
        self.lines(|text, key, subject| writeln!(text, "{key} \"{subject}\";"))
    }

    /// `key "subject"`, a line each.
    pub(crate) fn caddy(&self) -> String {
        self.lines(|text, key, subject| writeln!(text, "{key} \"{subject}\""))
    }

    /// A list in YAML, indented for Envoy's configuration.
    pub(crate) fn envoy(&self) -> String {
        self.lines(|text, key, subject| {
            writeln!(text, "                        - {{key: {key}, client: \"{subject}\"}}")
        })
    }

    /// Traefik has no keys: a route for each, which matches the key's value.
    pub(crate) fn traefik(&self, app: &str) -> String {
        let routers = self.lines(|text, key, subject| {
            writeln!(
                text,
                "    \"{subject}\": {{service: app, middlewares: [\"{subject}\"], rule: \"Header(`X-API-Key`, `{key}`)\"}}"
            )
        });
        let middlewares = self.lines(|text, _, subject| {
            writeln!(
                text,
                "    \"{subject}\": {{headers: {{customRequestHeaders: {{X-API-Key: \"\", X-Sidegate-Subject: \"{subject}\"}}}}}}"
            )
        });
        format!(
            "http:\n  services:\n    app: {{loadBalancer: {{servers: [{{url: \"http://{app}\"}}]}}}}\n  routers:\n{routers}  middlewares:\n{middlewares}"
        )
    }

    /// A script for wrk that goes through all keys.
    pub(crate) fn wrk(&self) -> String {
        let keys = self.lines(|text, key, _| writeln!(text, "\"{key}\","));
        format!(
            "local keys = {{\n{keys}}}\nlocal requests = {{}}\nlocal at = 0\n\
             init = function()\n  for i, key in ipairs(keys) do\n\
             \x20   requests[i] = wrk.format(\"GET\", \"/api/v1/apps\", {{[\"X-API-Key\"] = key}})\n  end\nend\n\
             request = function()\n  at = at % #requests + 1\n  return requests[at]\nend\n"
        )
    }

    /// The gate's bundle, written as the kubelet would mount it but for the links.
    pub(crate) fn bundle(&self, folder: &Path) -> Result<()> {
        let mut bundle = GateBundle::closed(GateName::new("dify", "api"));
        bundle.revision = Revision::next(None, Timestamp::now());
        bundle.rules =
            vec![Rule { name: None, matches: vec![], access: Access::Authenticated, needs: vec![] }];
        let zipped = self.0.iter().zip(self.subjects());
        bundle.keys = zipped.map(|(key, (_, subject))| entry(key, subject)).collect();
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join(document::FILE), document::pack(&bundle)?)?;
        Ok(())
    }

    fn lines(&self, line: impl Fn(&mut String, &str, &str) -> std::fmt::Result) -> String {
        let mut text = String::new();
        for (key, subject) in self.subjects() {
            // Writing to a String cannot fail.
            let _ = line(&mut text, key, &subject);
        }
        text
    }
}

fn entry(key: &ApiKey, subject: String) -> Key {
    Key {
        id: key.id(),
        hash: key.verifier(),
        sub: subject,
        tenant: "ns:team-a".to_owned(),
        kind: CredentialType::Service,
        scopes: ScopeSet::default(),
        nbf: None,
        exp: None,
        owner: None,
        standing: Standing::Good,
    }
}
