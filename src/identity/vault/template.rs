//! What a template of the author's may ask Vault for.
//!
//! The agent's token can read itself under Vault's default policy, so `{{ with secret "auth/token/lookup-self" }}` would hand the
//! application a Vault token although the sink is off (`hardening.md` A10). A path must therefore be written as text: one that is
//! computed cannot be checked. A namespace of Vault's may stand before the mount (`ns1/auth/token/lookup-self`), and a namespace looks like
//! any other step: so no step may be one of Vault's own mounts.

/// What a template may not call: run a program, write or read files, read the environment, build another template at run time.
pub const DENIED_FUNCTIONS: &[&str] =
    &["plugin", "writeToFile", "file", "env", "envOrDefault", "mustEnv", "executeTemplate", "sprig_env", "sprig_expandenv"];

/// The template functions that read or write Vault, each with the path as first argument.
const VAULT_FUNCTIONS: [&str; 3] = ["secret", "secrets", "pkiCert"];
/// Mounts of Vault itself.
const OWN_MOUNTS: [&str; 4] = ["auth", "sys", "cubbyhole", "identity"];

/// Words that open a block, which `end` closes.
const OPENING: [&str; 5] = ["if", "range", "with", "block", "define"];

/// What is wrong with a template, and what its author can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateFlaw {
    /// What is wrong.
    pub reason: String,
    /// What to do.
    pub remedy: String,
}

impl TemplateFlaw {
    fn new(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { reason: reason.into(), remedy: remedy.into() }
    }

    fn of_path(reason: String) -> Self {
        Self::new(reason, "write the path of a secret as text, below an engine's mount")
    }
}

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
/// What is wrong.
pub fn check_template(template: &str) -> Result<(), TemplateFlaw> {
    check_template_between(template, "{{", "}}")
}

/// Checks every action of a template with delimiters of its own. They must be punctuation that no other part of an action begins with.
/// A template that the agent could not read would end it, again and again.
///
/// # Errors
/// What is wrong.
pub fn check_template_between(template: &str, left: &str, right: &str) -> Result<(), TemplateFlaw> {
    let mut rest = template;
    let mut open = 0_usize;
    let unbalanced = |reason: &str| {
        TemplateFlaw::new(reason, format!("write one `{left} end {right}` for each `if`, `range`, `with`, `block` and `define`, behind it"))
    };
    while let Some((_, action)) = rest.split_once(left) {
        let action = trimmed(action);
        if let Some(comment) = action.strip_prefix("/*") {
            let closed = || TemplateFlaw::new("a comment of the template is never closed", format!("close it with `*/{right}`"));
            rest = comment.split_once("*/").ok_or_else(closed)?.1;
            continue;
        }
        let first = match next(action.trim_start()) {
            Some((Token::Name(name), _)) => name,
            _ => "",
        };
        if OPENING.contains(&first) {
            open += 1;
        } else if first == "end" {
            open = open.checked_sub(1).ok_or_else(|| unbalanced("an `end` of the template closes nothing"))?;
        } else if first == "else" && open == 0 {
            return Err(unbalanced("an `else` of the template belongs to nothing"));
        }
        rest = check_action(action, right)?;
    }
    if open > 0 { Err(unbalanced("a block of the template is never closed")) } else { Ok(()) }
}

/// What follows a trim marker: a hyphen and one blank, as Go's `text/template` reads it. A comment begins there or nowhere: were one
/// taken for code, a quote in it would hide the actions that follow.
fn trimmed(action: &str) -> &str {
    action.strip_prefix('-').and_then(|rest| rest.strip_prefix([' ', '\t', '\r', '\n'])).unwrap_or(action)
}

/// Checks one action and gives what follows it.
fn check_action<'a>(action: &'a str, right: &str) -> Result<&'a str, TemplateFlaw> {
    let mut rest = action;
    let mut asked: Option<&str> = None;
    let mut is_member = false;
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix(right) {
            return asked.map_or(Ok(after), |function| Err(computed(function)));
        }
        let unclosed = || {
            TemplateFlaw::new(
                "an action of the template is never closed",
                format!("close it with `{right}`, and its texts with their quotes"),
            )
        };
        let (token, after) = next(rest).ok_or_else(unclosed)?;
        if let Some(function) = asked.take() {
            let Token::Text(path) = token else { return Err(computed(function)) };
            check_path(path)?;
        } else if let Token::Name(name) = token
            && !is_member
        {
            if DENIED_FUNCTIONS.contains(&name) {
                let reason = format!("the template calls `{name}`, which the agent refuses to run");
                return Err(TemplateFlaw::new(reason, "render what Vault holds, and nothing of programs, files or the environment"));
            }
            asked = VAULT_FUNCTIONS.into_iter().find(|function| *function == name);
        }
        // `.secret` is a field and `$secret` a variable.
        is_member = matches!(token, Token::Other) && rest.starts_with(['.', '$']) && !after.starts_with(char::is_whitespace);
        rest = after;
    }
}

fn computed(function: &str) -> TemplateFlaw {
    TemplateFlaw::of_path(format!("`{function}` of the template is called with a path that is computed"))
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
fn check_path(path: &str) -> Result<(), TemplateFlaw> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let mount = path.split('/').find(|step| !step.is_empty()).unwrap_or_default();
    let is_plain = !path.contains(['\\', '%'])
        && !path.contains(char::is_control)
        && !path.starts_with(char::is_whitespace)
        && !mount.contains(':')
        && !path.split('/').any(|step| matches!(step, "." | ".."));
    if !is_plain {
        return Err(TemplateFlaw::of_path(format!("the secret's path `{path}` is not written plainly")));
    }
    match path.split('/').map(str::trim).find(|step| OWN_MOUNTS.contains(step)) {
        Some(own) => Err(TemplateFlaw::of_path(format!("the secret's path `{path}` lies in `{own}/`, which is Vault's own"))),
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
            assert_eq!(check_template(template), Ok(()), "{template}");
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
            assert!(check_template(template).unwrap_err().reason.contains(reason), "{template}: {:?}", check_template(template));
        }
    }

    #[test]
    fn a_template_that_would_end_the_agent_is_refused_with_its_remedy() {
        for template in [
            r#"{{ if true }}{{ with secret "kv/x" }}{{ .Data.end }}{{ else }}none{{- end -}}{{ end }}"#,
            r#"{{ define "end" }}x{{ end }}{{ range $i, $e := .Items }}{{ "{{ end }}" }}{{ else if $e }}{{ end }}"#,
            "{{/* {{ end }} */}}{{ .file }} {{ $plugin }} {{ .Data.env }}",
        ] {
            assert_eq!(check_template(template), Ok(()), "{template}");
        }
        const BLOCKS: &str = "write one `{{ end }}` for each `if`, `range`, `with`, `block` and `define`, behind it";
        for (template, reason, remedy) in [
            (r#"{{ with secret "kv/x" }}{{ .Data.x }}"#, "a block of the template is never closed", BLOCKS),
            ("x{{ end }}", "an `end` of the template closes nothing", BLOCKS),
            ("{{- else -}}", "an `else` of the template belongs to nothing", BLOCKS),
            (r#"{{ plugin "/usr/bin/id" }}"#, "the template calls `plugin`, which the agent refuses to run", "render what Vault holds"),
            (r#"{{ with $f := file "/etc/passwd" }}{{ end }}"#, "the template calls `file`", "render what Vault holds"),
            (r#"{{ "x" | writeToFile "/x" "" "" "0644" }}"#, "the template calls `writeToFile`", "render what Vault holds"),
            (r#"{{ with secret "kv/x" "#, "an action of the template is never closed", "close it with `}}`"),
            ("{{/* x", "a comment of the template is never closed", "close it with `*/}}`"),
        ] {
            let flaw = check_template(template).unwrap_err();
            assert!(flaw.reason.starts_with(reason) && flaw.remedy.starts_with(remedy), "{template}: {flaw:?}");
        }
        assert_eq!(check_template_between("<% if true %>", "<%", "%>").unwrap_err().remedy, BLOCKS.replace("{{", "<%").replace("}}", "%>"));
    }
}
