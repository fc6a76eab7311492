//! Keys against the bundle and the clock.

use super::*;
use crate::{
    builders::{NOW, api_key, now, quickstart},
    extract::Presented,
};

fn holder(text: &str, now: Timestamp) -> Holder {
    let presented = Presented { text: Some(text), place: Place::KeyHeader };
    crate::verify::verify(&Index::new(&quickstart()), Some(presented), now)
}

fn in_words(holder: &Holder) -> String {
    let whose = holder.principal().map_or("nobody", |principal| &*principal.subject);
    match holder {
        Holder::Nobody => "nothing came".to_owned(),
        Holder::Known(_) => whose.to_owned(),
        Holder::Refused(denial, _) => format!("{}, {whose}", denial.word()),
    }
}

#[test]
fn a_key_is_known_by_its_id_and_its_secret() {
    let good = api_key("ci");
    for (text, expected) in [
        (good.expose(), "key:team-a.ci"),
        (&good.expose()[..71], "malformed_key, nobody"),
        (&format!("{} ", good.expose()), "malformed_key, nobody"),
        (&good.expose().to_lowercase(), "malformed_key, nobody"),
        ("", "malformed_key, nobody"),
        ("wrong", "malformed_key, nobody"),
        (api_key("nobody's").expose(), "unknown_key, nobody"),
    ] {
        assert_eq!(in_words(&holder(text, now())), expected, "{text}");
    }
}

#[test]
fn a_wrong_secret_is_not_the_holders() {
    let mut bundle = quickstart();
    bundle.keys[0].hash = api_key("admin").verifier();
    let key = api_key("ci");
    let presented = Presented { text: Some(key.expose()), place: Place::Authorization };
    let holder = crate::verify::verify(&Index::new(&bundle), Some(presented), now());
    assert_eq!(in_words(&holder), "wrong_secret, nobody");
}

#[test]
fn standing_counts_before_times_and_the_end_is_exclusive() {
    for (name, expected) in [
        ("ci", "key:team-a.ci"),
        ("old", "expired, key:team-a.old"),
        ("ending", "key:team-a.ending"),
        ("early", "not_yet_valid, key:team-a.early"),
        ("new", "key:team-a.new"),
        ("suspended", "suspended, key:team-a.suspended"),
        ("revoked", "revoked, key:team-a.revoked"),
    ] {
        assert_eq!(in_words(&holder(api_key(name).expose(), now())), expected, "{name}");
    }
}

#[test]
fn a_second_counts_from_its_first_to_its_last_nanosecond() {
    let at = |nanos| Timestamp::new(NOW, nanos).unwrap();
    let before = Timestamp::new(NOW - 1, 999_999_999).unwrap();
    for (name, time, expected) in [
        ("new", before, "not_yet_valid, key:team-a.new"),
        ("new", at(0), "key:team-a.new"),
        ("old", before, "key:team-a.old"),
        ("old", at(0), "expired, key:team-a.old"),
        ("ending", at(999_999_999), "key:team-a.ending"),
    ] {
        assert_eq!(in_words(&holder(api_key(name).expose(), time)), expected, "{name} at {time}");
    }
}

#[test]
fn an_id_that_is_listed_twice_is_the_first_ones() {
    let mut bundle = quickstart();
    let mut second = bundle.keys[0].clone();
    second.sub = "key:team-a.second".to_owned();
    bundle.keys.push(second);
    let index = Index::new(&bundle);
    assert_eq!(index.key_count(), bundle.keys.len() - 1);
    assert_eq!(&*index.key(api_key("ci").id()).unwrap().principal.subject, "key:team-a.ci");
}
