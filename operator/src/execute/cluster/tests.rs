use super::*;
use crate::execute::Class;

fn creating() -> Doing<'static> {
    Doing { what: "creating Secret a/b".to_owned(), verb: "create secrets", namespace: "a" }
}

#[test]
fn who_is_at_fault_decides_when_it_is_tried_again() {
    for (code, class) in [
        (409, Class::Conflict),
        (401, Class::Transient),
        (403, Class::User),
        (400, Class::Bug),
        (413, Class::Bug),
        (422, Class::Bug),
        (404, Class::Transient),
        (429, Class::Transient),
        (500, Class::Transient),
        (503, Class::Transient),
        (504, Class::Transient),
    ] {
        let status = ApiStatus { code, message: "m".to_owned(), ..ApiStatus::default() };
        let error = refused(creating(), kube::Error::Api(Box::new(status)));
        assert_eq!(error.class(), class, "{code}");
        assert!(error.chain().starts_with("creating Secret a/b"), "{}", error.chain());
    }
}
