//! A gate bundle, compiled for the hot path: what would otherwise be worked out for every
//! request is worked out once, when the bundle arrives.
//!
//! The index holds what the bundle holds and no more: hashes, never anything that opens a
//! gate. It never changes; the next bundle is the next index.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    net::IpAddr,
    sync::Arc,
};

use http::{HeaderMap, HeaderName, HeaderValue};
use sidegate_bundle::{
    GateBundle, KeyId, Revision, ScopeSet, Verifier,
    gate::{AuditAllow, GateName, KeepAlive, Key, Mode, Paths, Standing},
};

use crate::{
    client::TrustedProxies,
    extract::Places,
    methods::Methods,
    rewrite::{self, Identity},
    rules::Rules,
    verify::Principal,
};

mod scopes;

pub(crate) use scopes::{ScopeBits, ScopeTable};

/// What one Gate's sidecar decides by.
#[derive(Debug)]
pub struct Index {
    /// The bundle without its rules and keys: what speaks for the Gate in an answer.
    face: GateBundle,
    pub(crate) places: Places,
    pub(crate) methods: Methods,
    pub(crate) rules: Rules,
    /// What the app must not receive, beside what no app may.
    pub(crate) removed: Box<[HeaderName]>,
    trusted_proxies: TrustedProxies,
    keys: HashMap<KeyId, KnownKey>,
}

/// One key of the bundle.
#[derive(Debug)]
pub(crate) struct KnownKey {
    pub(crate) hash: Verifier,
    pub(crate) standing: Standing,
    /// Unix seconds; from then on it counts.
    pub(crate) nbf: Option<i64>,
    /// Unix seconds; from then on it does not.
    pub(crate) exp: Option<i64>,
    pub(crate) principal: Arc<Principal>,
}

/// What many keys have alike is kept once.
#[derive(Default)]
struct Shared<'a> {
    tenants: HashMap<&'a str, (Arc<str>, Option<HeaderValue>)>,
    owners: HashSet<Arc<str>>,
    scopes: HashMap<&'a ScopeSet, (Arc<ScopeSet>, ScopeBits, HeaderValue)>,
}

// === impl Index ===

impl Index {
    /// Compiles a bundle. What cannot be read in it opens nothing.
    pub fn new(bundle: &GateBundle) -> Self {
        let mut table = ScopeTable::default();
        let methods = Methods::new(&bundle.methods);
        let rules = Rules::new(&bundle.rules, &methods, bundle.paths, &mut table);
        let mut shared = Shared::default();
        // The standard hasher is keyed: ids of `Hash` credentials are chosen by people, who
        // could otherwise choose thousands that collide.
        let mut keys = HashMap::with_capacity(bundle.keys.len());
        for key in &bundle.keys {
            // The operator lists an id once; if not, the first one counts, as in the API.
            if let Entry::Vacant(place) = keys.entry(key.id) {
                place.insert(KnownKey::new(key, &table, &mut shared));
            }
        }
        Self {
            face: face(bundle),
            places: Places::new(&bundle.api_keys),
            methods,
            rules,
            removed: rewrite::removable(&bundle.forward.remove_headers),
            trusted_proxies: TrustedProxies::new(&bundle.forward.trusted_proxies),
            keys,
        }
    }

    /// Which Gate decides.
    pub fn gate(&self) -> &GateName {
        &self.face.gate
    }

    /// Which bundle decides.
    pub fn revision(&self) -> Revision {
        self.face.revision
    }

    /// Are denials carried out?
    pub fn mode(&self) -> Mode {
        self.face.mode
    }

    /// How are allowed requests told?
    pub fn audit_allow(&self) -> AuditAllow {
        self.face.audit_allow
    }

    /// May a connection to the app be used again?
    pub fn keeps_alive(&self) -> bool {
        self.face.keep_alive == KeepAlive::Auto
    }

    /// Is this address one of a proxy that the Gate trusts?
    pub fn is_trusted_proxy(&self, address: IpAddr) -> bool {
        self.trusted_proxies.contains(address)
    }

    /// The caller's address, as far as it can be believed, of a request that `peer` sent.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        self.trusted_proxies.client(peer, headers)
    }

    /// Which doubtful paths pass.
    pub(crate) fn passing(&self) -> Paths {
        self.face.paths
    }

    /// Is the app told who asks?
    pub(crate) fn tells_identity(&self) -> bool {
        self.face.forward.identity_headers
    }

    /// How many keys the Gate knows.
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// What answers speak for.
    pub(crate) fn face(&self) -> &GateBundle {
        &self.face
    }

    pub(crate) fn key(&self, id: KeyId) -> Option<&KnownKey> {
        self.keys.get(&id)
    }
}

// === impl KnownKey ===

impl KnownKey {
    fn new<'a>(key: &'a Key, table: &ScopeTable, shared: &mut Shared<'a>) -> Self {
        let Key { id, hash, sub, tenant, kind, scopes, nbf, exp, owner, standing } = key;
        let (names, bits, scopes_value) = shared.scopes(scopes, table);
        let (tenant, tenant_value) = shared.tenant(tenant);
        let principal = Principal {
            subject: sub.as_str().into(),
            tenant,
            kind: *kind,
            scopes: names,
            owner: owner.as_deref().map(|owner| shared.owner(owner)),
            key_id: *id,
            expires_at: *exp,
            bits,
            identity: Identity { subject: rewrite::item(sub), tenant: tenant_value, scopes: scopes_value },
        };
        Self { hash: *hash, standing: *standing, nbf: *nbf, exp: *exp, principal: Arc::new(principal) }
    }
}

// === impl Shared ===

impl<'a> Shared<'a> {
    fn scopes(
        &mut self,
        scopes: &'a ScopeSet,
        table: &ScopeTable,
    ) -> (Arc<ScopeSet>, ScopeBits, HeaderValue) {
        let made = || (Arc::new(scopes.clone()), table.bits(scopes), rewrite::list(scopes));
        self.scopes.entry(scopes).or_insert_with(made).clone()
    }

    fn tenant(&mut self, tenant: &'a str) -> (Arc<str>, Option<HeaderValue>) {
        self.tenants.entry(tenant).or_insert_with(|| (tenant.into(), rewrite::item(tenant))).clone()
    }

    fn owner(&mut self, owner: &str) -> Arc<str> {
        if let Some(known) = self.owners.get(owner) {
            return Arc::clone(known);
        }
        let new: Arc<str> = owner.into();
        self.owners.insert(Arc::clone(&new));
        new
    }
}

fn face(bundle: &GateBundle) -> GateBundle {
    let GateBundle {
        format,
        revision,
        gate,
        audience,
        realm,
        api_keys,
        mode,
        paths,
        methods,
        forward,
        keep_alive,
        audit_allow,
        rules: _,
        keys: _,
    } = bundle;
    GateBundle {
        format: *format,
        revision: *revision,
        gate: gate.clone(),
        audience: audience.clone(),
        realm: realm.clone(),
        api_keys: api_keys.clone(),
        mode: *mode,
        paths: *paths,
        methods: methods.clone(),
        forward: forward.clone(),
        keep_alive: *keep_alive,
        audit_allow: *audit_allow,
        rules: Vec::new(),
        keys: Vec::new(),
    }
}
