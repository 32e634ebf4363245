//! The collector's own small authority: one root, and the certificates it gives to the
//! collector, to hosts and to operators.
//!
//! Certificates do not expire by themselves: what counts is whether a certificate is enrolled,
//! which is looked up at every message and ends at once with `medic-collector revoke`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use hostmedic_retain::{
    bundle::{self, Bundle, Role},
    keys::PublicKey,
};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

use crate::{
    config::Config,
    enrolled::{self, Enrolled, Fingerprint},
    files,
};

const CERTIFICATE: &str = "ca.pem";
const KEY: &str = "ca.key";

/// Makes the authority, the collector's certificate and its configuration.
///
/// `names` are the names and addresses that hosts know the collector by; the first one goes into
/// their bundles.
///
/// # Errors
/// When there is a configuration already, or a file cannot be written.
pub fn init(config: &Config, path: &Path, names: &[String]) -> Result<()> {
    if path.exists() {
        bail!(
            "{} exists: this collector is set up already",
            path.display()
        );
    }
    files::make_dir(&config.authority)?;
    files::make_dir(&config.state)?;
    files::make_dir(&config.enrolled())?;

    let ca_key = KeyPair::generate().context("cannot make the authority's key")?;
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "hostmedic collector authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca = params
        .self_signed(&ca_key)
        .context("cannot make the authority's certificate")?
        .pem();
    files::write(&config.authority.join(CERTIFICATE), &ca, files::PUBLIC)?;
    files::write(
        &config.authority.join(KEY),
        &ca_key.serialize_pem(),
        files::SECRET,
    )?;
    files::write(&config.ca(), &ca, files::PUBLIC)?;

    let issuer = Issuer::new(params, ca_key);
    let signed = sign(&issuer, names, ExtendedKeyUsagePurpose::ServerAuth)?;
    files::write(&config.certificate(), &signed.certificate, files::PUBLIC)?;
    files::write(&config.key(), &signed.key, files::SECRET)?;
    // Last: where there is a configuration, everything it names is there.
    config.store(path)
}

/// Whom to enrol.
#[derive(Clone, Debug)]
pub struct Application<'a> {
    /// Name of the host, or of the operator.
    pub name: &'a str,
    /// What the certificate is for.
    pub role: Role,
    /// The host's audit key, if it is known already; otherwise the first one it shows is noted
    /// and holds from then on.
    pub key: Option<PublicKey>,
}

/// Enrols a host or an operator: makes its certificate, notes it, and writes its bundle to `out`
/// (a file, or a directory that gets a `bundle.toml`). An earlier certificate of that name and
/// role no longer counts. Returns the bundle's path.
///
/// # Errors
/// When the name cannot stand in a certificate, or a file cannot be read or written.
pub fn enrol(config: &Config, application: &Application<'_>, out: &Path) -> Result<PathBuf> {
    let Application { name, role, key } = *application;
    let ca = files::read(&config.authority.join(CERTIFICATE))?;
    let ca_key = KeyPair::from_pem(&files::read(&config.authority.join(KEY))?)
        .context("cannot read the authority's key")?;
    let issuer =
        Issuer::from_ca_cert_pem(&ca, ca_key).context("cannot read the authority's certificate")?;
    let signed = sign(
        &issuer,
        &[name.to_owned()],
        ExtendedKeyUsagePurpose::ClientAuth,
    )?;

    let (server_name, _) = config
        .address
        .rsplit_once(':')
        .with_context(|| format!("the address {} is not name:port", config.address))?;
    let bundle = Bundle {
        name: name.to_owned(),
        role,
        collector: config.address.clone(),
        server_name: server_name.trim_matches(['[', ']']).to_owned(),
        ca,
        certificate: signed.certificate,
        key: signed.key,
    };
    let text = toml::to_string(&bundle).context("cannot write the bundle as TOML")?;
    let text =
        format!("# How {name} reaches its collector. Holds a private key: keep it secret.\n{text}");
    // A directory was prepared for a service, whose group may read what is in it.
    let (path, mode) = match out.is_dir() {
        true => (out.join(bundle::FILE_NAME), files::GROUP),
        false => (out.to_owned(), files::SECRET),
    };
    let directory = enrolled::Directory::new(config.enrolled());
    let entry = Enrolled {
        name: name.to_owned(),
        role,
        key: key.map(|key| key.to_string()),
    };
    // Noted first: a bundle that nobody would accept must not be handed out.
    let replaced = directory.replace(&signed.fingerprint, &entry)?;
    files::write(&path, &text, mode)?;
    for fingerprint in replaced {
        directory.remove(&fingerprint)?;
    }
    Ok(path)
}

/// A new certificate and its key, both PEM.
struct Signed {
    certificate: String,
    key: String,
    fingerprint: Fingerprint,
}

fn sign(
    issuer: &Issuer<'_, KeyPair>,
    names: &[String],
    usage: ExtendedKeyUsagePurpose,
) -> Result<Signed> {
    let shown = names.join(", ");
    let mut params = CertificateParams::new(names)
        .with_context(|| format!("`{shown}` cannot stand in a certificate"))?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, shown.as_str());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().with_context(|| format!("cannot make a key for {shown}"))?;
    let certificate = params
        .signed_by(&key, issuer)
        .with_context(|| format!("cannot sign a certificate for {shown}"))?;
    Ok(Signed {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
        fingerprint: Fingerprint::of(certificate.der()),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use std::{fs, os::unix::fs::PermissionsExt as _};

    use hostmedic_retain::tls;

    use super::*;

    fn set_up(dir: &Path) -> Config {
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            address: "localhost:7443".into(),
            state: dir.join("state"),
            authority: dir.join("authority"),
            links_max: 4,
        };
        init(
            &config,
            &dir.join("collector.toml"),
            &["localhost".into(), "127.0.0.1".into()],
        )
        .unwrap();
        config
    }

    fn host(name: &str) -> Application<'_> {
        Application {
            name,
            role: Role::Host,
            key: None,
        }
    }

    #[test]
    fn what_is_made_can_be_used_and_secrets_are_secret() {
        let dir = tempfile::tempdir().unwrap();
        let config = set_up(dir.path());
        let read = |path| files::read(path).unwrap();
        tls::server(
            &read(&config.ca()),
            &read(&config.certificate()),
            &read(&config.key()),
        )
        .unwrap();
        let path = enrol(&config, &host("web1"), &dir.path().join("web1.toml")).unwrap();
        let bundle = Bundle::load(&path).unwrap();
        assert_eq!(
            (bundle.name.as_str(), bundle.server_name.as_str()),
            ("web1", "localhost")
        );
        tls::client(&bundle).unwrap();
        for secret in [&path, &config.key(), &config.authority.join(KEY)] {
            assert_eq!(
                fs::metadata(secret).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
    }

    #[test]
    fn a_directory_gets_a_bundle_that_its_group_may_read() {
        let dir = tempfile::tempdir().unwrap();
        let config = set_up(dir.path());
        let path = enrol(&config, &host("web1"), dir.path()).unwrap();
        assert_eq!(path, dir.path().join("bundle.toml"));
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o640
        );
        assert_eq!(Bundle::load(dir.path()).unwrap().role, Role::Host);
    }

    #[test]
    fn a_second_certificate_replaces_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let config = set_up(dir.path());
        let out = dir.path().join("bundle");
        for _ in 0..2 {
            enrol(&config, &host("web1"), &out).unwrap();
            enrol(&config, &host("web2"), &out).unwrap();
        }
        assert_eq!(fs::read_dir(config.enrolled()).unwrap().count(), 2);
    }

    #[test]
    fn setting_up_twice_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let config = set_up(dir.path());
        let ca = files::read(&config.ca()).unwrap();
        assert!(init(&config, &dir.path().join("collector.toml"), &["x".into()]).is_err());
        assert_eq!(files::read(&config.ca()).unwrap(), ca);
    }
}
