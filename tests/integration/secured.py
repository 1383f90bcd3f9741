"""A broker that asks who one is: listeners with certificates good and bad, users, rights, and a token endpoint."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trustme
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography.hazmat.primitives import serialization

from services.ops.cluster import KafkaCluster
from services.ops.node import Listener, Security

PASSWORD = "right-c4nary"
WRONG_PASSWORD = "wrong-c4nary"
KEY_PASSWORD = "key-c4nary"
CANARY = "c4nary"
SESSION_SECONDS = 2  # then the broker drops a connection with SASL: aiokafka never logs in anew on it

_SECONDS = 20.0
_SASL = "org.apache.kafka.common.security"
_MECHANISMS = {
    "plain": f'{_SASL}.plain.PlainLoginModule required user_plain="{PASSWORD}";',
    "scram-sha-256": f"{_SASL}.scram.ScramLoginModule required;",
    "scram-sha-512": f"{_SASL}.scram.ScramLoginModule required;",
    # Kafka's own validator for tests: it takes tokens that nobody has signed.
    "oauthbearer": f'{_SASL}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";',
}


class Authority:
    """A certificate authority whose files lie in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self._authority = trustme.CA()
        self.cafile = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.cafile))

    def issue(self, name: str, *hosts: str, expired: bool = False, early: bool = False) -> Path:
        """Write a certificate with its chain and its key (PKCS 8, as Kafka takes it) into one PEM file.

        It is valid now, unless it has expired or comes too early.
        """
        now = datetime.now(UTC)
        ends = now - timedelta(days=1) if expired else None
        begins = now - timedelta(days=30) if expired else now + timedelta(days=1) if early else None
        issued = self._authority.issue_cert(*hosts, common_name=name, not_before=begins, not_after=ends)
        key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
        path = self.folder / f"{name}.pem"
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        path.write_bytes(_pem(key, serialization.NoEncryption()) + chain)
        locked = serialization.BestAvailableEncryption(KEY_PASSWORD.encode())
        path.with_suffix(".locked").write_bytes(_pem(key, locked))
        return path


def _pem(key: Any, encryption: serialization.KeySerializationEncryption) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    written: bytes = key.private_bytes(serialization.Encoding.PEM, form, encryption)
    return written


def _listener(name: str, protocol: str, keystore: Path | None, **settings: str) -> Listener:
    stores = {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(keystore)} if keystore else {}
    return Listener(
        name, protocol, stores | {key.replace("_", "."): value for key, value in settings.items()}
    )


def _sasl() -> dict[str, str]:
    settings = {f"{mechanism}.sasl.jaas.config": jaas for mechanism, jaas in _MECHANISMS.items()}
    names = ",".join(mechanism.upper() for mechanism in _MECHANISMS)
    return settings | {
        "sasl.enabled.mechanisms": names,
        "connections.max.reauth.ms": str(SESSION_SECONDS * 1000),
    }


def security(authority: Authority) -> Security:
    """A way in of each kind, in one broker. Who comes by the plain one may do everything."""
    good = authority.issue("broker", "127.0.0.1")
    authority.issue("client", "client.example.com")
    trusted = {"ssl_truststore_type": "PEM", "ssl_truststore_location": str(authority.cafile)}
    names = {"ssl_principal_mapping_rules": "RULE:^.*CN=([^,]+).*$/$1/"}
    return Security(
        (
            _listener("SASL", "SASL_SSL", good, **_sasl()),
            _listener("CLEAR", "SASL_PLAINTEXT", None, **_sasl() | {"sasl.enabled.mechanisms": "PLAIN"}),
            _listener("MUTUAL", "SSL", good, ssl_client_auth="required", **trusted | names),
            _listener("EXPIRED", "SSL", authority.issue("expired", "127.0.0.1", expired=True)),
            _listener("ELSEWHERE", "SSL", authority.issue("elsewhere", "kafka.example.com")),
        ),
        {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS;User:plain;User:scram;User:oauth;User:client",
        },
    )


@dataclass(frozen=True)
class SecuredCluster:
    """A running broker, its listeners and its authority."""

    cluster: KafkaCluster
    authority: Authority

    @property
    def open_address(self) -> str:
        """For an auditor, who may do everything."""
        return self.cluster.bootstrap_servers

    def address(self, listener: str) -> str:
        return f"127.0.0.1:{self.cluster.nodes[0].more_ports[listener]}"

    async def add_user(self, name: str, password: str = PASSWORD) -> None:
        """Make a SCRAM user, or change its password."""
        admin = AdminClient({"bootstrap.servers": self.open_address})
        for kind in (
            ScramMechanism.SCRAM_SHA_256,
            ScramMechanism.SCRAM_SHA_512,
        ):  # a request may hold one of a user
            change = UserScramCredentialUpsertion(name, ScramCredentialInfo(kind, 4096), password.encode())
            future = admin.alter_user_scram_credentials([change])[name]
            await asyncio.to_thread(future.result, _SECONDS)

    async def grant(self, user: str, *rights: tuple[str, str, str]) -> None:
        """Allow a user each (operation, kind of resource, its name)."""
        admin = AdminClient({"bootstrap.servers": self.open_address})
        bindings = [
            AclBinding(
                ResourceType[kind],
                name,
                ResourcePatternType.LITERAL,
                f"User:{user}",
                "*",
                AclOperation[operation],
                AclPermissionType.ALLOW,
            )
            for operation, kind, name in rights
        ]
        for future in admin.create_acls(bindings).values() if bindings else ():
            await asyncio.to_thread(future.result, _SECONDS)
        await self._until_known(user, len(rights))

    async def revoke(self, user: str) -> None:
        """Take all rights away."""
        admin = AdminClient({"bootstrap.servers": self.open_address})
        for future in admin.delete_acls([_rights_of(user)]).values():
            await asyncio.to_thread(future.result, _SECONDS)
        await self._until_known(user, 0)

    async def _until_known(self, user: str, count: int) -> None:
        """Wait until the broker, too, knows what the controller has written."""
        admin = AdminClient({"bootstrap.servers": self.open_address})
        async with asyncio.timeout(_SECONDS):
            known: list[AclBinding] | None = None
            while known is None or len(known) != count:
                known = await asyncio.to_thread(admin.describe_acls(_rights_of(user)).result, _SECONDS)

    def refused_logins(self) -> int:
        """How often the broker has refused someone so far."""
        return self.cluster.nodes[0].log.read_text().count("Failed authentication")


def _rights_of(user: str) -> AclBindingFilter:
    any_filter: Any = AclBindingFilter  # its annotations do not know that a field may be left open
    rights: AclBindingFilter = any_filter(
        ResourceType.ANY,
        None,
        ResourcePatternType.ANY,
        f"User:{user}",
        None,
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    return rights


@asynccontextmanager
async def secured_cluster(folder: Path) -> AsyncIterator[SecuredCluster]:
    """Run the broker, and leave nothing behind."""
    authority = Authority(folder / "authority")
    async with KafkaCluster(data=folder / "kafka", port=0, security=security(authority)) as cluster:
        yield SecuredCluster(cluster, authority)
