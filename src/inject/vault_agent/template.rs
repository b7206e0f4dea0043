//! What a template of the author's may ask Vault for.
//!
//! The agent's token can read itself under Vault's default policy, so `{{ with secret "auth/token/lookup-self" }}` would hand the
//! application a Vault token although the sink is off (`hardening.md` A10). A path must therefore be written as text: one that is
//! computed cannot be checked. A namespace of Vault's may stand before the mount (`ns1/auth/token/lookup-self`), and a namespace looks like
//! any other step: so no step may be one of Vault's own mounts.

/// The template functions that read or write Vault, each with the path as first argument.
const VAULT_FUNCTIONS: [&str; 3] = ["secret", "secrets", "pkiCert"];
/// Mounts of Vault itself.
const OWN_MOUNTS: [&str; 4] = ["auth", "sys", "cubbyhole", "identity"];

/// One word of an action.
enum Token<'a> {
    Name(&'a str),
    /// The text between the quotes as it is written.
    Text(&'a str),
    Other,
}

/// Checks every action of a template.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn check(template: &str) -> Result<(), String> {
    check_between(template, "{{", "}}")
}

/// Checks every action of a template with delimiters of its own. They must be punctuation that no other part of an action begins with.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn check_between(template: &str, left: &str, right: &str) -> Result<(), String> {
    let mut rest = template;
    while let Some((_, action)) = rest.split_once(left) {
        rest = match trimmed(action).strip_prefix("/*") {
            Some(comment) => comment.split_once("*/").ok_or("a comment of the template is never closed")?.1,
            None => check_action(action, right)?,
        };
    }
    Ok(())
}

/// What follows a trim marker: a hyphen and one blank, as Go's `text/template` reads it. A comment begins there or nowhere: were one
/// taken for code, a quote in it would hide the actions that follow.
fn trimmed(action: &str) -> &str {
    action.strip_prefix('-').and_then(|rest| rest.strip_prefix([' ', '\t', '\r', '\n'])).unwrap_or(action)
}

/// Checks one action and gives what follows it.
fn check_action<'a>(action: &'a str, right: &str) -> Result<&'a str, String> {
    let mut rest = action;
    let mut asked: Option<&str> = None;
    let mut is_member = false;
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix(right) {
            return asked.map_or(Ok(after), |function| Err(computed(function)));
        }
        let (token, after) = next(rest).ok_or("an action of the template is never closed")?;
        if let Some(function) = asked.take() {
            let Token::Text(path) = token else { return Err(computed(function)) };
            check_path(path)?;
        } else if let Token::Name(name) = token
            && !is_member
        {
            asked = VAULT_FUNCTIONS.into_iter().find(|function| *function == name);
        }
        // `.secret` is a field and `$secret` a variable.
        is_member = matches!(token, Token::Other) && rest.starts_with(['.', '$']) && !after.starts_with(char::is_whitespace);
        rest = after;
    }
}

fn computed(function: &str) -> String {
    format!("`{function}` of the template is called with a path that is computed")
}

fn next(text: &str) -> Option<(Token<'_>, &str)> {
    let first = text.chars().next()?;
    match first {
        '"' | '\'' => {
            let mut escaped = false;
            let inside = text.get(1..)?;
            let end = inside.find(|character| {
                let closes = character == first && !escaped;
                escaped = character == '\\' && !escaped;
                closes
            })?;
            let (token, after) = (inside.get(..end)?, inside.get(end + 1..)?);
            Some((if first == '"' { Token::Text(token) } else { Token::Other }, after))
        }
        '`' => text.get(1..)?.split_once('`').map(|(token, after)| (Token::Text(token), after)),
        _ if first.is_alphabetic() || first == '_' => {
            let end = text.find(|character: char| !character.is_alphanumeric() && character != '_').unwrap_or(text.len());
            Some((Token::Name(text.get(..end)?), text.get(end..)?))
        }
        _ => Some((Token::Other, text.get(first.len_utf8()..)?)),
    }
}

/// Checks a path as the agent reads it: it trims blanks, then slashes, and takes the rest for a URL, of which it uses the path alone:
/// `x:/auth/token/lookup-self` asks for `auth/token/lookup-self`.
fn check_path(path: &str) -> Result<(), String> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let mount = path.split('/').find(|step| !step.is_empty()).unwrap_or_default();
    let is_plain = !path.contains(['\\', '%'])
        && !path.contains(char::is_control)
        && !path.starts_with(char::is_whitespace)
        && !mount.contains(':')
        && !path.split('/').any(|step| matches!(step, "." | ".."));
    if !is_plain {
        return Err(format!("the secret's path `{path}` is not written plainly"));
    }
    match path.split('/').map(str::trim).find(|step| OWN_MOUNTS.contains(step)) {
        Some(own) => Err(format!("the secret's path `{path}` lies in `{own}/`, which is Vault's own")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardening_a10_a_template_reads_secrets_only() {
        for template in [
            "",
            "plain text, no action",
            r#"{{ with secret "kv/data/payments/db" }}{{ .Data.data.password }}{{ end }}"#,
            r#"{{- with secret "pki/issue/web" "common_name=web" -}}{{ .Data.certificate }}{{- end -}}"#,
            r#"{{ $secret := "x" }}{{ $secret }}{{ "{{ not an action }}" }}"#,
            "{{ with secret `kv/data/authority/x` }}{{ .Data.secret }}{{ end }}",
            r#"{{/* secret of the team */}}{{ range secrets "kv/metadata/" }}{{ . }}{{ end }}"#,
        ] {
            assert_eq!(check(template), Ok(()), "{template}");
        }
        for (template, reason) in [
            (r#"{{ with secret "auth/token/lookup-self" }}{{ .Data.id }}{{ end }}"#, "lies in `auth/`"),
            ("{{ with secret `/sys/mounts` }}{{ . }}{{ end }}", "lies in `sys/`"),
            (r#"{{ range secrets "//cubbyhole/" }}{{ . }}{{ end }}"#, "lies in `cubbyhole/`"),
            (r#"{{ (secret "identity/oidc/token/x").Data }}"#, "lies in `identity/`"),
            (r#"{{ secret "auth#x" }}"#, "lies in `auth/`"),
            // A namespace before the mount, one inside another, and what might be either.
            (r#"{{ with secret "ns1/auth/token/lookup-self" }}{{ .Data.id }}{{ end }}"#, "lies in `auth/`"),
            (r#"{{ with secret "a/b//sys/wrapping/lookup" }}{{ . }}{{ end }}"#, "lies in `sys/`"),
            (r#"{{ range secrets "ns1/cubbyhole/" }}{{ . }}{{ end }}"#, "lies in `cubbyhole/`"),
            (r#"{{ pkiCert "ns1/identity/oidc/token/x?a=b" }}"#, "lies in `identity/`"),
            ("{{ with secret `kv/data/auth/x` }}{{ .Data.secret }}{{ end }}", "lies in `auth/`"),
            (r#"{{ secret "ns1/%61uth/token/lookup-self" }}"#, "not written plainly"),
            (r#"{{ secret "ns1/./auth/token/lookup-self" }}"#, "not written plainly"),
            (r#"{{ secret "\x61uth/token/lookup-self" }}"#, "not written plainly"),
            (r#"{{ secret "kv/../auth/token/lookup-self" }}"#, "not written plainly"),
            (r#"{{ secret " /auth/token/lookup-self" }}"#, "not written plainly"),
            ("{{ secret `\tauth/token/lookup-self` }}", "not written plainly"),
            (r#"{{ secret "http://x/auth/token/lookup-self" }}"#, "not written plainly"),
            (r#"{{ secret "x:/auth/token/lookup-self" }}"#, "not written plainly"),
            (r#"{{ $p := "auth/token/lookup-self" }}{{ secret $p }}"#, "`secret` of the template is called with a path that is computed"),
            (r#"{{ "auth/token/lookup-self" | secret }}"#, "`secret` of the template is called with a path that is computed"),
            (r#"{{ pkiCert (printf "%s" "auth/x") }}"#, "`pkiCert` of the template is called with a path that is computed"),
            ("{{- /* } */ -}}{{ secret\n}}", "called with a path that is computed"),
            ("{{-\n/* \" */ -}}{{ secret \"auth/x\" }}{{/* \" */}}", "lies in `auth/`"),
            ("{{-\t/* \" */ -}}{{ secret \"auth/x\" }}{{/* \" */}}", "lies in `auth/`"),
            ("{{ with secret \"kv/x\" ", "never closed"),
            ("{{/* open", "never closed"),
            (r#"{{ if eq 'a' '}' }}{{ secret "auth/x" }}{{ end }}"#, "lies in `auth/`"),
            (r#"{{ "\"}}" }}{{ secret "auth/x" }}"#, "lies in `auth/`"),
        ] {
            assert!(check(template).unwrap_err().contains(reason), "{template}: {:?}", check(template));
        }
    }
}
