"""An authority of the tests' own and what it signs, as a hospital has them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Signs certificates; its own lies in `folder/ca.crt`."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of the hospital")])
        limits = x509.BasicConstraints(ca=True, path_length=0)
        self.file = self._write("ca.crt", self._signed(self._name, self._key.public_key(), limits))

    def sign(self, host: str) -> tuple[Path, Path]:
        """Return the files of a certificate for a host and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        certificate = self._signed(subject, key.public_key(), x509.SubjectAlternativeName([x509.DNSName(host)]))
        secret = self._folder / f"{host}.key"
        secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                             serialization.NoEncryption()))  # fmt: skip
        secret.chmod(0o600)
        return self._write(f"{host}.crt", certificate), secret

    def _signed(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, says: x509.ExtensionType) -> x509.Certificate:
        now = datetime.now(UTC)
        making = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key)
        making = making.serial_number(x509.random_serial_number()).add_extension(says, critical=False)
        making = making.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
        own = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        named = making.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        usage = x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
                              key_encipherment=False, data_encipherment=False, key_agreement=False,
                              encipher_only=False, decipher_only=False)  # fmt: skip
        return (
            named.add_extension(own, critical=False)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def _write(self, name: str, certificate: x509.Certificate) -> Path:
        path = self._folder / name
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return path
