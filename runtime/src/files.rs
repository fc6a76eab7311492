//! How many files a process may have open: every connection is one, and one more on its other side.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as this process may. What it is then; `None`: there is none.
///
/// Where the lower limit is for programs that cannot bear many files (`select` reads only 1,024), the upper one
/// is what was granted.
pub fn raise_limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(_) => current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_what_was_granted() {
        let granted = getrlimit(Resource::Nofile).maximum;
        let low = Rlimit { current: granted.map(|granted| granted.min(512)), maximum: granted };
        setrlimit(Resource::Nofile, low).unwrap();
        assert_eq!(raise_limit(), granted);
        assert_eq!(getrlimit(Resource::Nofile).current, granted);
    }
}
