//! What is refused by name, each with the reason and the remedy.

/// Refused whatever it says; a `*` at the end stands for any text.
const ALWAYS: [(&str, &str, &str); 14] = [
    (
        "agent-configmap",
        "the whole configuration would be the author's, its server and its programs too",
        "name the secrets in annotations",
    ),
    ("agent-copy-volume-mounts", "the agent would get volumes of the application, and its programs with them", "remove it"),
    ("agent-extra-secret", "the login needs no Secret, and templates read no files", "remove it"),
    ("agent-init-json-patch", "it can make any program of the agent, with its token", "remove it"),
    (
        "agent-inject-command-*",
        "the agent would run a program of the author's with its token at hand",
        "let the application watch its file",
    ),
    (
        "agent-inject-template-file-*",
        "a template in a file cannot be read before it is rendered",
        "write it as `agent-inject-template-<name>`",
    ),
    ("agent-json-patch", "it can make any program of the agent, with its token", "remove it"),
    ("agent-telemetry-*", "what the agent does would be sent to an address of the author's choice", "remove it"),
    ("auth-config-*", "how the workload logs in follows from its ServiceAccount alone", "remove it"),
    ("ca-key", "the vendor hands it on as a directory of CAs, not as a key", "write `ca-cert`"),
    ("client-cert", "a certificate in a Secret is a static credential", "remove it: the ServiceAccount's token is the login"),
    ("client-key", "a key in a Secret is a static credential", "remove it: the ServiceAccount's token is the login"),
    ("proxy-address", "the login would go through a server of the author's choice", "remove it"),
    (
        "agent-cache-use-auto-auth-token",
        "every container of the pod would act with the agent's token",
        "remove it, and render what is needed",
    ),
];

/// Switches that may only be off.
const UNLESS_OFF: [(&str, &str, &str); 6] = [
    ("agent-cache-enable", "the agent would listen for every container of the pod", "remove it, and render what is needed"),
    ("agent-enable-quit", "the agent would listen for whoever ends it", "remove it: the agent of a Job ends by itself"),
    ("agent-inject-token", "the application would hold a Vault token, not only its secrets", "remove it, and render what is needed"),
    (
        "agent-revoke-on-shutdown",
        "the agent stops last but is told to stop first: leases would end while the application still uses them",
        "remove it: the token's lifetime ends them",
    ),
    ("agent-share-process-namespace", "every container could read every other one's token", "remove it"),
    ("tls-skip-verify", "the login would go to whoever answers", "remove it, and name the CA in `tls-secret` and `ca-cert`"),
];

/// Why an annotation is refused whatever it says, and the remedy.
pub(super) fn always(name: &str) -> Option<(&'static str, &'static str)> {
    let meant = |pattern: &str| pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start));
    ALWAYS.iter().find(|(pattern, ..)| meant(pattern)).map(|(_, reason, remedy)| (*reason, *remedy))
}

/// Why a switch may only be off, and the remedy.
pub(super) fn unless_off(name: &str) -> Option<(&'static str, &'static str)> {
    UNLESS_OFF.iter().find(|(switch, ..)| *switch == name).map(|(_, reason, remedy)| (*reason, *remedy))
}
