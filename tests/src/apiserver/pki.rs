//! The keys of one API server: an authority, its own certificate, its administrator's, and the key that
//! signs ServiceAccount tokens. Made anew for each; they live no longer than the test.

use std::fs;
use std::path::Path;

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};

/// What others need of it; the rest is in files.
#[derive(Debug)]
pub(super) struct Pki {
    /// The authority's certificate, PEM.
    pub(super) ca: String,
    /// A client certificate with all rights.
    pub(super) admin: Certificate,
}

/// A certificate and its private key, PEM.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// Flags of kube-apiserver, and the files of [`Pki::generate`] that they name.
pub(super) const APISERVER_FLAGS: [(&str, &str); 5] = [
    ("client-ca-file", "ca.crt"),
    ("tls-cert-file", "server.crt"),
    ("tls-private-key-file", "server.key"),
    ("service-account-signing-key-file", "accounts.key"),
    ("service-account-key-file", "accounts.pub"),
];

type Authority = CertifiedIssuer<'static, KeyPair>;

impl Pki {
    /// Makes them and writes what the API server reads into the folder.
    pub(super) fn generate(folder: &Path) -> Result<Self> {
        let authority = authority()?;
        let server = signed(&authority, "kube-apiserver", None, &["127.0.0.1", "localhost"])?;
        let admin = signed(&authority, "admin", Some("system:masters"), &[])?;
        let ca = authority.pem();
        fs::write(folder.join("ca.crt"), &ca)?;
        fs::write(folder.join("server.crt"), server.certificate)?;
        fs::write(folder.join("server.key"), server.key)?;
        let accounts = key()?;
        fs::write(folder.join("accounts.key"), accounts.serialize_pem())?;
        fs::write(folder.join("accounts.pub"), accounts.public_key_pem())?;
        Ok(Self { ca, admin })
    }
}

fn authority() -> Result<Authority> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "sidegate-tests");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    Ok(CertifiedIssuer::self_signed(params, key()?)?)
}

fn signed(authority: &Authority, name: &str, group: Option<&str>, addresses: &[&str]) -> Result<Certificate> {
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(addresses)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = key()?;
    Ok(Certificate { certificate: params.signed_by(&key, authority)?.pem(), key: key.serialize_pem() })
}

fn key() -> Result<KeyPair> {
    Ok(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)
}
