//! One Deployment: which traits it has, and its YAML as a team would have written it.

use std::fmt::Write as _;

use crate::draw::Draw;

/// What sets a Deployment apart, and in how many of a thousand. Drawn one by one, so that they also meet.
pub(crate) const TRAITS: &[(&str, u32)] = &[
    ("automount-true", 60),
    ("automount-unset", 180),
    ("aws-token", 30),
    ("azure-token", 20),
    ("default-service-account", 80),
    ("host-network", 30),
    ("legacy-token-name", 25),
    ("legacy-token-volume", 25),
    ("long-vault-token", 30),
    ("mesh-opt-out", 20),
    ("mesh-skip-ports", 15),
    ("sidecar", 120),
    ("spiffe-csi", 80),
    ("spiffe-csi-writable", 10),
    ("spiffe-host-path", 20),
    ("static-cloud-key", 15),
    ("static-vault-token", 10),
    ("unknown-audience", 30),
    ("vault-client", 150),
    ("vault-plain-http", 10),
    ("vault-without-token", 30),
    ("wide-host-path", 10),
];

const TEAMS: &[&str] =
    &["billing", "catalog", "checkout", "fraud", "identity", "ledger", "logistics", "payments", "pricing", "search", "shipping", "support"];
const ROLES: &[&str] = &["api", "worker", "gateway", "indexer", "exporter", "scheduler", "consumer", "web"];
const STAGES: &[&str] = &["dev", "staging", "prod"];
const LEVELS: &[&str] = &["debug", "info", "warn", "error"];
const MEMORY: &[&str] = &["64Mi", "128Mi", "256Mi", "512Mi", "1Gi"];
const STRANGE_AUDIENCES: &[&str] = &["internal-gateway", "https://ci.example.com", "Vault", "spiffe://old.example.com"];

/// A Deployment in the making; everything about it follows from its index.
pub(crate) struct Deployment {
    index: u32,
    team: &'static str,
    role: &'static str,
    stage: &'static str,
    traits: Vec<&'static str>,
    draw: Draw,
}

impl Deployment {
    pub(crate) fn at(index: u32) -> Self {
        let mut draw = Draw::new(index);
        let (team, role, stage) = (draw.one_of(TEAMS), draw.one_of(ROLES), draw.one_of(STAGES));
        let traits = TRAITS.iter().filter_map(|(name, share)| draw.per_mille(*share).then_some(*name)).collect();
        Self { index, team, role, stage, traits, draw }
    }

    pub(crate) fn traits(&self) -> impl Iterator<Item = &'static str> {
        self.traits.iter().copied()
    }

    fn has(&self, name: &str) -> bool {
        self.traits.contains(&name)
    }

    fn has_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.has(name))
    }

    fn name(&self) -> String {
        format!("{}-{:05}", self.role, self.index)
    }

    /// Appends one YAML document without its `---`.
    pub(crate) fn write(mut self, out: &mut String) {
        self.write_metadata(out);
        self.write_pod_spec(out);
        self.write_containers(out);
        self.write_volumes(out);
    }

    fn write_metadata(&mut self, out: &mut String) {
        let (name, team, stage) = (self.name(), self.team, self.stage);
        let replicas = 1 + self.draw.below(5);
        let mesh = if self.has("mesh-opt-out") { "disabled" } else { "enabled" };
        line(out, 0, "apiVersion: apps/v1");
        line(out, 0, "kind: Deployment");
        line(out, 0, "metadata:");
        line(out, 1, &format!("name: {name}"));
        line(out, 1, &format!("namespace: {team}-{stage}"));
        line(out, 1, "labels:");
        line(out, 2, &format!("app.kubernetes.io/name: {name}"));
        line(out, 2, &format!("app.kubernetes.io/part-of: {team}"));
        line(out, 0, "spec:");
        line(out, 1, &format!("replicas: {replicas}"));
        line(out, 1, "selector:");
        line(out, 2, "matchLabels:");
        line(out, 3, &format!("app.kubernetes.io/name: {name}"));
        line(out, 1, "template:");
        line(out, 2, "metadata:");
        line(out, 3, "labels:");
        line(out, 4, &format!("app.kubernetes.io/name: {name}"));
        line(out, 3, "annotations:");
        line(out, 4, &format!("linkerd.io/inject: {mesh}"));
        if self.has("mesh-skip-ports") {
            line(out, 4, "config.linkerd.io/skip-outbound-ports: \"5432,6379\"");
        }
        line(out, 2, "spec:");
    }

    fn write_pod_spec(&mut self, out: &mut String) {
        if !self.has("default-service-account") {
            line(out, 3, &format!("serviceAccountName: {}", self.name()));
        }
        if self.has("automount-true") {
            line(out, 3, "automountServiceAccountToken: true");
        } else if !self.has("automount-unset") {
            line(out, 3, "automountServiceAccountToken: false");
        }
        if self.has("host-network") {
            line(out, 3, "hostNetwork: true");
        }
        line(out, 3, "securityContext:");
        line(out, 4, "runAsNonRoot: true");
    }

    fn write_containers(&mut self, out: &mut String) {
        let (team, role) = (self.team, self.role);
        let version = (self.draw.below(9), self.draw.below(40), self.draw.below(20));
        let port = 8000 + self.draw.below(1000);
        let (level, memory) = (self.draw.one_of(LEVELS), self.draw.one_of(MEMORY));
        line(out, 3, "containers:");
        line(out, 3, &format!("- name: {role}"));
        let (major, minor, patch) = version;
        line(out, 4, &format!("image: registry.example.com/{team}/{role}:{major}.{minor}.{patch}"));
        line(out, 4, "ports:");
        line(out, 4, &format!("- containerPort: {port}"));
        line(out, 5, "name: http");
        line(out, 4, "env:");
        line(out, 4, "- name: LOG_LEVEL");
        line(out, 5, &format!("value: {level}"));
        self.write_env(out);
        line(out, 4, &format!("resources: {{requests: {{cpu: 50m}}, limits: {{memory: {memory}}}}}"));
        line(out, 4, "readinessProbe:");
        line(out, 5, "httpGet: {path: /readyz, port: http}");
        line(out, 4, "volumeMounts:");
        for (name, _, mount) in self.volumes() {
            line(out, 4, &format!("- {{name: {name}, mountPath: {mount}}}"));
        }
        if self.has("sidecar") {
            line(out, 3, "- name: log-shipper");
            line(out, 4, "image: registry.example.com/platform/log-shipper:2.7.0");
            line(out, 4, "args:");
            line(out, 4, "- --input=/var/log/app # shared by both containers");
        }
    }

    fn write_env(&mut self, out: &mut String) {
        let value = |out: &mut String, name: &str, value: &str| {
            line(out, 4, &format!("- name: {name}"));
            line(out, 5, &format!("value: {value}"));
        };
        if self.has("vault-plain-http") {
            value(out, "VAULT_ADDR", "http://vault.vault.svc.cluster.local:8200");
        } else if self.has_any(&["vault-client", "vault-without-token"]) {
            value(out, "VAULT_ADDR", "https://vault.vault.svc.cluster.local:8200");
        }
        if self.has("static-vault-token") {
            line(out, 4, "- name: VAULT_TOKEN");
            line(out, 5, &format!("valueFrom: {{secretKeyRef: {{name: {}-vault, key: token}}}}", self.role));
        }
        if self.has("static-cloud-key") {
            value(out, "AWS_ACCESS_KEY_ID", "example-key-id");
            value(out, "AWS_SECRET_ACCESS_KEY", "not-a-key");
        }
        if self.has("aws-token") {
            value(out, "AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/aws/token");
        }
    }

    fn write_volumes(&mut self, out: &mut String) {
        line(out, 3, "volumes:");
        for (name, source, _) in self.volumes() {
            line(out, 3, &format!("- name: {name}"));
            match source {
                Source::ConfigMap(name) => {
                    line(out, 4, "configMap:");
                    line(out, 5, &format!("name: {name}"));
                }
                Source::Secret(name) => {
                    line(out, 4, "secret:");
                    line(out, 5, &format!("secretName: {name}"));
                }
                Source::HostPath(path) => {
                    line(out, 4, "hostPath:");
                    line(out, 5, &format!("path: {path}"));
                }
                Source::Spiffe { read_only } => {
                    line(out, 4, "csi:");
                    line(out, 5, "driver: csi.spiffe.io");
                    line(out, 5, &format!("readOnly: {read_only}"));
                }
                Source::Token(audience, seconds) => {
                    line(out, 4, "projected:");
                    line(out, 5, "sources:");
                    line(out, 5, "- serviceAccountToken:");
                    line(out, 7, "path: token");
                    line(out, 7, &format!("audience: {audience}"));
                    line(out, 7, &format!("expirationSeconds: {seconds}"));
                }
            }
        }
    }

    /// Every volume with its source and the path it is mounted at, in the order they are written.
    fn volumes(&self) -> Vec<(&'static str, Source, String)> {
        let mut volumes = vec![("config", Source::ConfigMap(format!("{}-config", self.role)), format!("/etc/{}", self.role))];
        let mut add = |wanted: bool, name, source, mount: &str| {
            if wanted {
                volumes.push((name, source, mount.to_owned()));
            }
        };
        let vault_seconds = if self.has("long-vault-token") { 7200 } else { 600 };
        let strange = Draw::new(self.index).one_of(STRANGE_AUDIENCES);
        let legacy = "/var/run/secrets/kubernetes.io/serviceaccount";
        let token = Source::Token;
        add(self.has_any(&["vault-client", "long-vault-token"]), "vault-token", token("vault", vault_seconds), "/var/run/secrets/vault");
        add(self.has("unknown-audience"), "gateway-token", token(strange, 3600), "/var/run/gateway");
        add(self.has("aws-token"), "aws-token", token("sts.amazonaws.com", 3600), "/var/run/aws");
        let azure = "api://AzureADTokenExchange";
        add(self.has("azure-token"), "azure-token", token(azure, 3600), "/var/run/azure");
        add(self.has("legacy-token-volume"), "api-token", Source::Secret(format!("{}-credentials", self.role)), legacy);
        add(self.has("legacy-token-name"), "old-token", Source::Secret(format!("{}-token-x7k2p", self.role)), "/etc/old-token");
        let csi = |read_only| Source::Spiffe { read_only };
        add(self.has("spiffe-csi"), "spiffe", csi(true), "/spiffe-workload-api");
        add(self.has("spiffe-csi-writable"), "spiffe-rw", csi(false), "/run/spiffe");
        let host = |path| Source::HostPath(path);
        add(self.has("spiffe-host-path"), "agent-socket", host("/run/spire/sockets"), "/run/spire");
        add(self.has("wide-host-path"), "host-run", host("/var/run"), "/host/run");
        volumes
    }
}

/// Where the bytes of a volume come from.
enum Source {
    ConfigMap(String),
    Secret(String),
    HostPath(&'static str),
    Spiffe {
        read_only: bool,
    },
    /// Audience and seconds of a projected ServiceAccount token.
    Token(&'static str, u32),
}

fn line(out: &mut String, depth: usize, text: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{:width$}{text}", "", width = depth * 2);
}
