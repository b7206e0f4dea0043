//! Go's `text/template` as far as a SPIFFE ID needs it: text, and fields of the data. Everything else is named and left unread, so
//! that an allow-list of what is understood decides, and no cleverness of a template slips by.

/// A piece of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'t> {
    /// Text as it stands.
    Text(&'t str),
    /// A field of the data, such as `PodMeta.Namespace` of `{{ .PodMeta.Namespace }}`.
    Field(&'t str),
    /// Any other action: a function, a pipeline, `if`, `define`, a comment; as written between the braces.
    Action(&'t str),
}

/// The pieces of a template in order; `None` if an action is not closed, which Go refuses too. An action that holds `}}` in a string ends
/// here before Go ends it; then both of its halves are no field, so nothing is believed.
pub(super) fn parts(template: &str) -> Option<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((text, after)) = rest.split_once("{{") {
        push_text(&mut parts, text);
        let (action, behind) = after.split_once("}}")?;
        parts.push(field(action).map_or(Part::Action(action), Part::Field));
        rest = behind;
    }
    push_text(&mut parts, rest);
    Some(parts)
}

fn push_text<'t>(parts: &mut Vec<Part<'t>>, text: &'t str) {
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
}

/// The field that an action names, if that is all it does. Trim markers (`{{-`) eat the text beside them, so they are no field.
fn field(action: &str) -> Option<&str> {
    let path = action.trim_matches([' ', '\t', '\r', '\n']).strip_prefix('.')?;
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    path.split('.').all(is_name).then_some(path)
}

/// The segments of a path: its pieces parted at every `/` of its text. The first one stands before the first `/`.
pub(super) fn segments<'t>(parts: &[Part<'t>]) -> Vec<Vec<Part<'t>>> {
    let mut segments = Vec::new();
    let mut current = Vec::new();
    for part in parts {
        let Part::Text(text) = part else {
            current.push(*part);
            continue;
        };
        for (index, piece) in text.split('/').enumerate() {
            if index > 0 {
                segments.push(std::mem::take(&mut current));
            }
            push_text(&mut current, piece);
        }
    }
    segments.push(current);
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_fields_are_read_and_all_else_is_an_action() {
        use Part::{Action, Field, Text};
        for (template, expected) in [
            ("a/{{ .PodMeta.Namespace }}/b", vec![Text("a/"), Field("PodMeta.Namespace"), Text("/b")]),
            ("{{.TrustDomain}}", vec![Field("TrustDomain")]),
            ("{{- .TrustDomain -}}", vec![Action("- .TrustDomain -")]),
            ("{{ .A | lower }}", vec![Action(" .A | lower ")]),
            ("{{ index .PodMeta.Labels \"x\" }}", vec![Action(" index .PodMeta.Labels \"x\" ")]),
            ("{{ . }}", vec![Action(" . ")]),
            ("{{ .A..B }}", vec![Action(" .A..B ")]),
            ("{{ \"}}\" }}", vec![Action(" \""), Text("\" }}")]),
            ("", vec![]),
        ] {
            assert_eq!(parts(template), Some(expected), "{template}");
        }
        assert_eq!(parts("a{{ .B"), None);
    }

    #[test]
    fn a_path_is_parted_at_its_slashes() {
        let pieces = parts("/ns/{{ .N }}-x/").unwrap();
        let expected = [vec![], vec![Part::Text("ns")], vec![Part::Field("N"), Part::Text("-x")], vec![]];
        assert_eq!(segments(&pieces), expected);
    }
}
