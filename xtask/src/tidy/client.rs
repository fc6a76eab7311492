//! Who holds a client of the API server: the ends of the operator, and nothing between them.
//!
//! What decides must be a pure function of what was observed. As long as nothing between `watch` and `execute`
//! can name a client, it is.

use std::path::Path;

use super::{Found, has_word, lines_where};

/// Modules of the operator that may, and what lies under them. `main` and `run` make it and hand it out.
const ALLOWED: [&str; 5] = ["main", "run", "watch", "execute/cluster", "lease"];

/// Takes the path from the repository's root, and code without comments and literals.
pub(super) fn only_where_allowed(path: &Path, code: &str) -> Vec<Found> {
    let Ok(module) = path.strip_prefix("operator/src") else { return Vec::new() };
    let module = module.with_extension("");
    if ALLOWED.iter().any(|allowed| module.starts_with(allowed)) {
        return Vec::new();
    }
    let problem =
        "only the operator's ends (watch, execute/cluster, lease, …) hold a client of the API server";
    lines_where(code, |line| has_word(line, "Client"))
        .into_iter()
        .map(|line| (line, problem.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_in_the_wrong_room_is_found() {
        let code = "use kube::Client;";
        for (path, found) in [
            ("operator/src/plan.rs", true),
            ("operator/src/execute.rs", true),
            ("operator/src/controllers/gate.rs", true),
            ("operator/src/watcher.rs", true),
            ("operator/src/execute/cluster.rs", false),
            ("operator/src/execute/cluster/patch.rs", false),
            ("operator/src/watch.rs", false),
            ("operator/src/watch/prune.rs", false),
            ("operator/src/main.rs", false),
            ("cli/src/cluster.rs", false),
        ] {
            assert_eq!(!only_where_allowed(Path::new(path), code).is_empty(), found, "{path}");
        }
        assert_eq!(
            only_where_allowed(Path::new("operator/src/plan.rs"), "use sidegate_crds::OAuthClient;"),
            []
        );
    }
}
