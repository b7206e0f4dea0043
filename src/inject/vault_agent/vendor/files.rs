//! What to render, and where: the annotations that end in a name of the author's.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::super::super::outcome::Conflict;
use super::{Annotation, value};
use crate::identity::check_template_between;

/// A file to be rendered.
#[derive(Debug, PartialEq)]
pub(in super::super) struct File<'a> {
    /// Its path below the directory.
    pub(in super::super) path: Cow<'a, str>,
    /// Its directory, if not the pod's.
    pub(in super::super) directory: Option<&'a str>,
    pub(in super::super) template: Template<'a>,
    /// The annotation that asks for it.
    pub(in super::super) key: &'a str,
}

/// How a file is rendered.
#[derive(Debug, PartialEq)]
pub(in super::super) struct Template<'a> {
    pub(in super::super) contents: Cow<'a, str>,
    pub(in super::super) delimiters: Option<(&'a str, &'a str)>,
    pub(in super::super) error_on_missing_key: bool,
    pub(in super::super) permissions: Option<&'a str>,
}

/// What the annotations say of one file.
#[derive(Default)]
struct Draft<'a> {
    secret: Option<Annotation<'a, 'a>>,
    template: Option<Annotation<'a, 'a>>,
    file: Option<Annotation<'a, 'a>>,
    left: Option<&'a str>,
    right: Option<&'a str>,
    permissions: Option<&'a str>,
    directory: Option<&'a str>,
    error_on_missing_key: bool,
    keep_case: bool,
}

/// The files that the annotations name so far.
#[derive(Default)]
pub(super) struct Files<'a> {
    drafts: BTreeMap<&'a str, Draft<'a>>,
    as_json: bool,
    directory: Option<&'a str>,
    keep_case: bool,
}

impl<'a> Files<'a> {
    /// Takes an annotation, if it is about files.
    ///
    /// # Errors
    /// A value that is none.
    pub(super) fn read(&mut self, annotation: Annotation<'a, 'a>) -> Result<bool, Conflict> {
        let Annotation { name, value, .. } = annotation;
        let because = |reason: String| annotation.refuse(reason, "see docs/from-vault-k8s.md for what it may say");
        let text = value::boolean;
        match name {
            "agent-inject-default-template" => self.as_json = value::one_of(value, &["map", "json"]).map_err(because)? == "json",
            "secret-volume-path" => self.directory = Some(value::directory(value).map_err(because)?),
            "preserve-secret-case" => self.keep_case = text(value).map_err(because)?,
            _ => {
                let Some((field, file)) = FIELDS.iter().find_map(|field| Some((*field, name.strip_prefix(field)?))) else {
                    return Ok(false);
                };
                let draft = self.drafts.entry(file).or_default();
                match field {
                    "agent-inject-secret-" => draft.secret = Some(annotation),
                    "agent-inject-template-" => draft.template = Some(annotation),
                    "agent-inject-file-" => draft.file = Some(annotation),
                    "agent-inject-perms-" => draft.permissions = Some(value::permissions(value).map_err(because)?),
                    "agent-template-left-delim-" => draft.left = Some(value::delimiter(value).map_err(because)?),
                    "agent-template-right-delim-" => draft.right = Some(value::delimiter(value).map_err(because)?),
                    "error-on-missing-key-" => draft.error_on_missing_key = text(value).map_err(because)?,
                    "secret-volume-path-" => draft.directory = Some(value::directory(value).map_err(because)?),
                    _ => draft.keep_case = text(value).map_err(because)?,
                }
            }
        }
        Ok(true)
    }

    /// The directory of the pod's files, and the files in order of their names. What is said of a file that has neither a secret nor a
    /// template is without effect, as it is with the vendor.
    ///
    /// # Errors
    /// A path or a template that may not be.
    pub(super) fn finish(self) -> Result<(Option<&'a str>, Vec<File<'a>>), Conflict> {
        let (as_json, keep_all) = (self.as_json, self.keep_case);
        let files = self.drafts.into_iter().filter_map(|(name, draft)| draft.finish(name, as_json, keep_all).transpose());
        Ok((self.directory, files.collect::<Result<_, _>>()?))
    }
}

/// The annotations' names up to the author's.
const FIELDS: [&str; 9] = [
    "agent-inject-secret-",
    "agent-inject-template-",
    "agent-inject-file-",
    "agent-inject-perms-",
    "agent-template-left-delim-",
    "agent-template-right-delim-",
    "error-on-missing-key-",
    "secret-volume-path-",
    "preserve-secret-case-",
];

impl<'a> Draft<'a> {
    fn finish(self, name: &'a str, as_json: bool, keep_all: bool) -> Result<Option<File<'a>>, Conflict> {
        let inline = self.template.filter(|template| !template.value.is_empty());
        let Some(asked) = inline.or(self.secret) else { return Ok(None) };
        let path = match self.file.filter(|file| !file.value.is_empty()) {
            Some(file) => Cow::Borrowed(file.value),
            None if self.keep_case || keep_all => Cow::Borrowed(name),
            None => Cow::Owned(name.to_lowercase()),
        };
        let named_by = self.file.unwrap_or(asked);
        if !value::is_relative(&path) || path.to_lowercase().starts_with(".vault-token") {
            let reason = format!("`{path}` is no name for a rendered file");
            return Err(named_by.refuse(reason, "use letters, digits, `.`, `_` and `-`, with `/` between directories"));
        }
        let (contents, delimiters) = match inline {
            Some(template) => {
                let delimiters =
                    (self.left.is_some() || self.right.is_some()).then(|| (self.left.unwrap_or("{{"), self.right.unwrap_or("}}")));
                (Cow::Borrowed(template.value), delimiters)
            }
            None => (Cow::Owned(default_template(asked, as_json)?), None),
        };
        let (left, right) = delimiters.unwrap_or(("{{", "}}"));
        check_template_between(&contents, left, right).map_err(|flaw| asked.refuse(flaw.reason, &flaw.remedy))?;
        let template = Template { contents, delimiters, error_on_missing_key: self.error_on_missing_key, permissions: self.permissions };
        Ok(Some(File { path, directory: self.directory, template, key: asked.key }))
    }
}

/// The vendors' template for a secret without one: a line for each field, or JSON.
fn default_template(secret: Annotation<'_, '_>, as_json: bool) -> Result<String, Conflict> {
    let path = secret.value;
    if path.is_empty() || path.contains(['"', '\\', '{', '}']) || path.contains(char::is_control) {
        return Err(secret.refuse("it is no plain path of a secret", "write the path as Vault knows it"));
    }
    let body = if as_json { "{{ .Data | toJSON }}\n" } else { "{{ range $key, $value := .Data }}{{ $key }}: {{ $value }}\n{{ end }}" };
    Ok(format!("{{{{ with secret \"{path}\" }}}}{body}{{{{ end }}}}"))
}
