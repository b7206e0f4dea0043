//! The room's promises: what is read, what is refused and where, what is written back.

use super::*;
use crate::object::{FieldPath, Object};

fn json(text: &str) -> String {
    let read = read("x.yaml", text);
    assert_eq!(read.errors, [], "{text:?}");
    read.documents.iter().map(|document| document.object.root().to_json()).collect::<Vec<_>>().join("\n")
}

/// Line, column and message of the only error.
fn error(text: &str) -> (usize, usize, String) {
    let mut read = read("x.yaml", text);
    assert_eq!(read.errors.len(), 1, "{text:?}: {:?}", read.errors);
    let error = read.errors.remove(0);
    (error.line, error.column, error.message)
}

fn assert_error(text: &str, line: usize, column: usize, words: &str) {
    let error = error(text);
    assert_eq!((error.0, error.1), (line, column), "{text:?}: {}", error.2);
    assert!(error.2.contains(words), "{text:?}: {}", error.2);
}

#[test]
fn reads_scalars_as_kubectl_does() {
    let table = [
        ("yes", "true"),
        ("Yes", "true"),
        ("y", "true"),
        ("on", "true"),
        ("N", "false"),
        ("OFF", "false"),
        ("yEs", r#""yEs""#),
        ("TRUE", "true"),
        ("'yes'", r#""yes""#),
        ("", "null"),
        ("~", "null"),
        ("Null", "null"),
        ("0644", "420"),
        ("0o644", "420"),
        ("01130", "600"),
        ("08", "8"),
        ("0x1F", "31"),
        ("0b101", "5"),
        ("-0b101", "-5"),
        ("1_000", "1000"),
        ("+12", "12"),
        ("-0", "0"),
        ("1:30", r#""1:30""#),
        ("1.0", "1"),
        ("1e3", "1000"),
        ("1.5", "1.5"),
        (".5", "0.5"),
        ("._5", r#""._5""#),
        ("1.", "1"),
        ("1e400", r#""1e400""#),
        ("9223372036854775807", "9223372036854775807"),
        ("18446744073709551615", "1.8446744073709552e+19"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("2001-12-14", r#""2001-12-14""#),
        ("2001-12-14T21:59:43Z", r#""2001-12-14T21:59:43Z""#),
        ("500m", r#""500m""#),
        ("0xZ", r#""0xZ""#),
        ("1.2.3", r#""1.2.3""#),
        ("!!str 12", r#""12""#),
        ("!!int \"12\"", "12"),
        ("!!float 2", "2"),
        ("!custom 12", r#""12""#),
        ("|\n  a\n  b\n", r#""a\nb\n""#),
    ];
    for (text, expected) in table {
        assert_eq!(json(&format!("v: {text}")), format!(r#"{{"v":{expected}}}"#), "{text}");
    }
}

#[test]
fn turns_keys_into_strings_as_sigs_yaml_does() {
    assert_eq!(
        json("1: a\n0x10: b\nyes: c\n1.50: d\n1e6: e\n'2': f\n1e5: g"),
        r#"{"1":"a","16":"b","true":"c","1.5":"d","1e+06":"e","2":"f","100000":"g"}"#
    );
    assert_error("a: 1\n~: 2", 2, 1, "a key is empty or null");
    assert_error("? [a]\n: 2", 1, 3, "a key must be a string");
}

#[test]
fn refuses_what_json_cannot_hold() {
    assert_error("a: 1\nb: .inf", 2, 4, "no number that JSON can hold");
    assert_error("b: .NaN", 1, 4, "no number that JSON can hold");
    assert_error("b: !!int x", 1, 10, "`x` is no int");
}

#[test]
fn notes_booleans_that_do_not_look_like_it() {
    let read = read("x.yaml", "hostNetwork: yes\nok: true\nname: 'no'\non: 1\n");
    let notes: Vec<_> = read.notes.iter().map(|note| (note.line, note.column, note.message.as_str())).collect();
    assert_eq!(
        notes,
        [
            (1, 14, "`yes` is read as the boolean true, as kubectl reads it: write true, or quote it if it is a string"),
            (4, 1, "the key `on` is read as `true`, as kubectl reads it: quote it"),
        ]
    );
}

#[test]
fn refuses_duplicate_keys_and_names_both_places() {
    let duplicate = "the key `b` is given twice, at line 2 column 3 and at line 4 column 3";
    assert_error("a:\n  b: 1\n  c: 2\n  b: 3\n", 4, 3, duplicate);
    assert_error("{\"a\": 1,\n \"a\": 2}", 2, 2, "the key `a` is given twice, at line 1 column 2 and at line 2 column 2");
    assert_error("true: 1\nyes: 2", 2, 1, "the key `true` is given twice");
    let many: String = (0..40).map(|index| format!("k{index}: 1\n")).collect();
    assert_error(&format!("{many}k3: 1\n"), 41, 1, "the key `k3` is given twice, at line 4 column 1");
    assert_error(&format!("{many}k39: 1\n"), 41, 1, "the key `k39` is given twice, at line 40 column 1");
}

#[test]
fn expands_aliases_up_to_a_cap() {
    assert_eq!(json("a: &x {b: [1, 2]}\nc: *x\nd: [*x]"), r#"{"a":{"b":[1,2]},"c":{"b":[1,2]},"d":[{"b":[1,2]}]}"#);
    assert_eq!(json("a: &x k\n*x : 1"), r#"{"a":"k","k":1}"#);
    assert_eq!(json("a: &x 1\nb: &x 2\nc: *x"), r#"{"a":1,"b":2,"c":2}"#);
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n";
    let found = error(bomb);
    assert!(found.2.starts_with("alias bomb: the aliases of this document expand to more than 10000 nodes"), "{}", found.2);
    assert_error("a: &a [*a]", 1, 8, "stands inside the node that it names");
    assert_error("a: *nowhere", 1, 4, "anchor");
}

#[test]
fn merges_as_go_yaml_does() {
    let base = "base: &b {x: 1, y2: 2}\nother: &o {x: 3, z: 4}\n";
    let tail = |text: &str| json(&format!("{base}{text}")).split_once(r#""z":4},"#).unwrap().1.to_owned();
    assert_eq!(tail("m:\n  <<: *b\n  x: 9"), r#""m":{"x":9,"y2":2}}"#);
    assert_eq!(tail("m:\n  x: 9\n  <<: *b"), r#""m":{"x":1,"y2":2}}"#, "go-yaml v2 lets a later merge win over an earlier field");
    assert_eq!(tail("m:\n  <<: [*b, *o]"), r#""m":{"x":1,"z":4,"y2":2}}"#);
    assert_eq!(tail("m: {'<<': 1}"), r#""m":{"<<":1}}"#);
    assert_error("m:\n  <<: 1\n", 2, 3, "takes a map or a list of maps");
    assert_error(&format!("{base}m:\n  a: 1\n  <<: *b\n  a: 2\n"), 6, 3, "the key `a` is given twice");
}

#[test]
fn one_broken_document_does_not_hide_the_rest() {
    let text = "# first\nkind: A\napiVersion: v1\n--- # second\nkind: [\n---\n\n---\nkind: C\napiVersion: v1\n...\n";
    let loaded = load("x.yaml", text);
    let kinds: Vec<_> = loaded.documents.iter().map(|document| (document.object.root().text("kind"), document.first_line)).collect();
    assert_eq!(kinds, [("A", 2), ("C", 9)]);
    assert_eq!(loaded.errors.len(), 1);
    assert!((5..=6).contains(&loaded.errors[0].line), "{:?}", loaded.errors);
}

#[test]
fn refuses_what_kubectl_would_not_see_or_see_otherwise() {
    assert_error("a: 1\n...\nb: 2\n", 3, 1, "kubectl ignores what follows `...`");
    assert_error("a: 1\n--- b\n", 2, 4, "only a comment may follow `---`");
    assert_error("a: 1\n# x\u{2028}hostNetwork: true\n", 2, 4, "U+2028 ends a line for kubectl");
    assert_error(&format!("a: {}{}", "[".repeat(150), "]".repeat(150)), 1, 103, "nested deeper than 100 levels");
    assert_error(&format!("{}1{}", "[".repeat(110), "]".repeat(110)), 1, 101, "nested deeper than 100 levels");
}

#[test]
fn reads_every_line_end_and_a_byte_order_mark() {
    let text = "\u{feff}apiVersion: v1\r\nkind: A\r\nx: |\r\n  a\r\n  b\r\n---\r\napiVersion: v1\r\nkind: B\r\nspec:\r\n  host: true\r\n";
    let loaded = load("x.yaml", text);
    assert_eq!(loaded.errors, []);
    assert_eq!(loaded.documents[0].object.root().text("x"), "a\nb\n");
    let position = locate(&loaded.documents[1], &FieldPath::of(&["spec", "host"]));
    assert_eq!((position.line, position.column, position.exact), (10, 3, true));
    assert_eq!(&loaded.documents[1].source.text[position.span], "host");
    let errors = load_bytes("x.yaml", b"a: 1\nb: \xff\n", false).errors;
    assert_eq!((errors[0].line, errors[0].message.as_str()), (2, "not UTF-8 text: save the file as UTF-8 (UTF-16 is not read)"));
}

#[test]
fn reads_json_and_streams_of_it() {
    assert_eq!(json("{\"a\": 1}\n{\"b\": [true]}"), "{\"a\":1}\n{\"b\":[true]}");
    assert_eq!(json("{\"a\": 1}\n---\nb: 2\n"), "{\"a\":1}\n{\"b\":2}");
    assert_eq!(json("{a: yes}"), "{\"a\":true}", "a flow mapping is YAML");
    assert_error("{\"a\": 1,\n \"b\": tru}x", 2, 10, "not valid JSON");
    // Places are counted in characters, and a line break belongs to the line that it ends.
    assert_error("{\"\u{e9}\u{e9}\": tru}x", 1, 11, "not valid JSON");
    assert_error("{\"\\u12>\n", 1, 8, "not valid JSON: invalid escape");
    assert_error("{\"a\": \"\\ud800\"}", 1, 7, "high surrogate");
}

#[test]
fn requires_objects_and_says_what_is_missing() {
    let messages = |text: &str| load("x.yaml", text).errors.into_iter().map(|error| (error.line, error.message)).collect::<Vec<_>>();
    assert_eq!(
        messages("\n# c\na: 1"),
        [(3, "it has no `apiVersion` and no `kind`: add both, as in `apiVersion: v1` and `kind: Pod`".into())]
    );
    assert_eq!(messages("kind: Pod"), [(1, "it has no `apiVersion` (a string such as `v1` or `apps/v1`): add it".into())]);
    assert_eq!(messages("apiVersion: v1\nkind: 3"), [(1, "it has no `kind` (a string such as `Pod`): add it".into())]);
    assert!(messages("- a")[0].1.starts_with("the document is a list, not a map"));
    let found = load_found("values.yaml", "image: x\n---\napiVersion: v1\nkind: Pod\n---\nkind: Pod\n");
    assert_eq!((found.documents.len(), found.skipped, found.notes.len(), found.errors.len()), (1, 1, 1, 1));
    let template = error("spec:\n  {{- if .Values.x }}\n  a: 1\n");
    assert!(template.2.ends_with("render it first (`helm template ... | doorward audit -`)"), "{}", template.2);
}

const LIST: &str = "apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Pod
  metadata: {name: a}
# between
- apiVersion: v1
  kind: Pod
  metadata:
    name: b
    labels: {x: 'y'}
- {apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Pod, metadata: {name: c}}]}
";

#[test]
fn flattens_lists_and_keeps_positions() {
    let loaded = load("x.yaml", LIST);
    assert_eq!(loaded.errors, []);
    let places: Vec<_> = loaded
        .documents
        .iter()
        .map(|document| {
            let root = document.object.root();
            let position = locate(document, &FieldPath::of(&["metadata", "name"]));
            (root.path(&["metadata"]).unwrap().text("name"), document.first_line, position.line, position.column, position.exact)
        })
        .collect();
    assert_eq!(places, [("a", 4, 6, 14, true), ("b", 8, 11, 5, true), ("c", 13, 13, 79, true)]);
    let deep = locate(&loaded.documents[1], &FieldPath::of(&["metadata", "labels"]).key("x"));
    assert_eq!((deep.line, deep.column, &loaded.documents[1].source.text[deep.span]), (12, 14, "x"));
}

#[test]
fn lists_of_one_kind_lend_their_kind_to_bare_items() {
    let loaded = load("x.json", r#"{"apiVersion":"v1","kind":"PodList","items":[{"metadata":{"name":"a"}},{"kind":"Pod"},7]}"#);
    assert_eq!(loaded.documents[0].object.root().to_json(), r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}"#);
    let messages: Vec<_> = loaded.errors.iter().map(|error| (error.column, error.message.as_str())).collect();
    assert_eq!(messages[0], (72, "items[1] of this PodList: it has no `apiVersion` (a string such as `v1` or `apps/v1`): add it"));
    assert!(messages[1].1.starts_with("items[2] of this PodList: the document is a number"), "{messages:?}");
    let absent = locate(&loaded.documents[0], &FieldPath::of(&["apiVersion"]));
    assert_eq!((absent.line, absent.exact), (1, false));
    assert_eq!(
        load("x.yaml", "apiVersion: v1\nkind: Evasion\nitems: [{apiVersion: v1, kind: Pod}]").documents[0].object.root().text("kind"),
        "Pod"
    );
    assert!(load("x.yaml", "apiVersion: v1\nkind: PodList\nitems:\n").documents.is_empty());
}

#[test]
fn items_that_need_the_rest_of_the_document_are_located_too() {
    let text = "apiVersion: v1\nkind: List\nx: &m\n  name: a\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: *m\n- apiVersion: v1\n  kind: Pod\n  metadata:\n    <<: *m\n    uid: u\n";
    let loaded = load("x.yaml", text);
    assert_eq!(loaded.errors, []);
    let name = FieldPath::of(&["metadata", "name"]);
    let uid = FieldPath::of(&["metadata", "uid"]);
    let line = |index: usize, path: &FieldPath| (locate(&loaded.documents[index], path).line, locate(&loaded.documents[index], path).exact);
    assert_eq!((line(0, &name), line(1, &name), line(1, &uid)), ((4, true), (4, true), (13, true)));
}

#[test]
fn locates_fields_items_and_what_is_absent() {
    let text = "apiVersion: v1\nkind: A\n---\n# comment\napiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: api\n    env: [{name: A, value: b}, {name: C}]\n  - image: x\n  \n  volumes: []\n";
    let loaded = load("x.yaml", text);
    let document = &loaded.documents[1];
    let map = SourceMap::of(document);
    let at = |path: &str| {
        let position = map.locate(&FieldPath::parse(path).unwrap());
        (position.line, position.column, position.end_line, position.end_column, position.exact)
    };
    assert_eq!(at(""), (5, 1, 5, 11, true));
    assert_eq!(at("spec.containers"), (8, 3, 8, 13, true));
    assert_eq!(at("spec.containers[0].env[1].name"), (10, 33, 10, 37, true));
    assert_eq!(at("spec.containers[0].env[1]"), (10, 32, 10, 41, true));
    assert_eq!(at("spec.containers[1]"), (11, 5, 11, 13, true));
    assert_eq!(at("spec.containers[1].image"), (11, 5, 11, 10, true));
    assert_eq!(at("spec.containers[1].securityContext.runAsUser"), (11, 5, 11, 13, false));
    assert_eq!(at("spec.serviceAccountName"), (7, 1, 7, 5, false));
    assert_eq!(at("metadata"), (5, 1, 5, 11, false));
    let json =
        load("x.json", "{\"apiVersion\": \"v1\", \"kind\": \"A\"} {\"apiVersion\": \"v1\",\n\t\"kind\": \"B\", \"ü\": [1, {\"x\": 2}]}");
    let position = locate(&json.documents[1], &FieldPath::parse("ü[1].x").unwrap());
    assert_eq!((position.line, position.column), (2, 25));
    assert_eq!(&json.documents[1].source.text[position.span], "\"x\"");
    let first = locate(&json.documents[1], &FieldPath::of(&["apiVersion"]));
    assert_eq!((first.line, first.column), (1, 36));
}

/// Where a field begins, found alone.
fn begins(document: &Document, path: &FieldPath) -> (usize, usize) {
    let found = beginnings(document, &[path]);
    assert_eq!(found.len(), 1);
    (found[0].line, found[0].column)
}

#[test]
fn the_beginnings_of_fields_are_those_of_their_positions() {
    let plain =
        "# comment\napiVersion: v1\nkind: Pod\nspec:\n  a: [{b: 1}, 2, [3, {b: 4}]]\n  c:\n  - b: 5\n    d: {}\n  - 6\n  \"e\": 7\n";
    let merged = "apiVersion: v1\nkind: Pod\nx: &x {a: 1}\nspec:\n  <<: *x\n  c: *x\n";
    let list =
        "kind: List\napiVersion: v1\nitems:\n- {apiVersion: v1, kind: A, spec: &s {a: [1]}}\n- apiVersion: v1\n  kind: B\n  spec: *s\n";
    let json = "{\"kind\": \"List\", \"apiVersion\": \"v1\", \"items\": [{\"apiVersion\": \"v1\",\n \"kind\": \"A\", \"spec\": {\"a\": [{\"b\": 1}]}}]}";
    let paths = ["", "kind", "spec", "spec.a", "spec.a[0]", "spec.a[0].b", "spec.a[2][1].b", "spec.a[1].b", "spec.c[0].d.x", "spec.c[1]"];
    let paths = paths.map(|path| FieldPath::parse(path).unwrap());
    let more = ["spec.c[7]", "spec.c.a", "spec.e", "spec.b", "none.a", "spec.a[0].c"].map(|path| FieldPath::parse(path).unwrap());
    let paths: Vec<&FieldPath> = paths.iter().chain(&more).collect();
    for text in [plain, merged, list, json] {
        let loaded = load("x.yaml", text);
        assert_eq!(loaded.errors, [], "{text}");
        for document in &loaded.documents {
            let map = SourceMap::of(document);
            let expected: Vec<_> =
                paths.iter().map(|path| map.locate(path)).map(|at| Beginning { line: at.line, column: at.column }).collect();
            assert_eq!(beginnings(document, &paths), expected, "{text}");
        }
    }
}

#[test]
fn discovers_files_in_a_fixed_order() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let write = |name: &str, text: &str| {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    for name in
        ["m/b.yaml", "m/a.yml", "m/sub/c.JSON", "m/.git/x.yaml", "m/node_modules/x.yaml", "m/.hidden.yaml", "m/Chart.yaml", "m/n.txt"]
    {
        write(name, "apiVersion: v1\nkind: Pod\n");
    }
    write("outside.yaml", "");
    std::os::unix::fs::symlink(root.join("outside.yaml"), root.join("m/link.yaml")).unwrap();
    std::os::unix::fs::symlink(root.join("m/b.yaml"), root.join("m/z.yaml")).unwrap();
    let path = |name: &str| root.join(name).to_string_lossy().into_owned();
    let names = |found: &Discovered| found.files.iter().map(|file| file.name.clone()).collect::<Vec<_>>();
    let found = discover(&[path("m")]);
    assert_eq!(names(&found), [path("m/a.yml"), path("m/b.yaml"), path("m/sub/c.JSON")]);
    assert_eq!(found.notes.iter().map(|note| note.file.clone()).collect::<Vec<_>>(), [path("m/Chart.yaml"), path("m/link.yaml")]);
    let found = discover(&[path("m/n.txt"), path("m/*.y*ml"), path("nowhere"), path("no*.x"), "-".into()]);
    assert_eq!(
        names(&found),
        [path("m/n.txt"), path("m/Chart.yaml"), path("m/a.yml"), path("m/b.yaml"), path("m/link.yaml"), "<stdin>".into()]
    );
    let errors: Vec<_> = found.errors.iter().map(|error| error.message.as_str()).collect();
    assert_eq!(errors, ["cannot be read (no such file or directory): check the path", "no file matches the pattern: check the path"]);
    let named = discover(&[path("m"), path("m/b.yaml")]);
    assert_eq!(
        named.files.iter().map(|file| file.found).collect::<Vec<_>>(),
        [true, false, true],
        "a file that is named is not merely found"
    );
    let loaded = load_file(&found.files[0]);
    assert_eq!((loaded.documents.len(), loaded.documents[0].source.name.clone()), (1, path("m/n.txt")));
}

mod laws {
    use proptest::prelude::*;

    use super::*;

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::Value;
        let text = prop_oneof![
            any::<String>(),
            "[ -~]{0,12}",
            "[a-z \n:#-]{0,16}",
            "[0-9_.eExob+-]{1,8}",
            prop::sample::select(vec![
                "yes",
                "y",
                "no",
                "~",
                "null",
                "0644",
                "1e3",
                ".inf",
                "<<",
                "- a",
                "a: b",
                "---",
                "...",
                "2001-01-01",
                "a\n\n",
                "\n",
                "x\r\ny"
            ])
            .prop_map(str::to_owned),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<i32>().prop_map(|number| Value::from(f64::from(number) / 8.0)),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(text.clone(), inner, 0..5).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn soup() -> impl Strategy<Value = String> {
        let tokens = vec![
            "a",
            "b: ",
            "- ",
            "\n",
            "\n  ",
            "\n    ",
            ": ",
            "{",
            "}",
            "[",
            "]",
            ", ",
            "&x ",
            "*x",
            "<<: ",
            "!!str ",
            "!t ",
            "? ",
            "| ",
            ">\n",
            "\"",
            "'",
            "# c",
            "---\n",
            "...\n",
            "\t",
            "\r\n",
            "%YAML 1.1\n",
            "1",
            "~",
            "yes",
            "\u{feff}",
            "\u{2028}",
            "{{ x }}",
            "apiVersion: v1\nkind: List\nitems:\n",
            "kind: Pod\n",
            "\\u12",
            "ü",
        ];
        prop::collection::vec(prop::sample::select(tokens), 0..40).prop_map(|tokens| tokens.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_is_read_back(value in any_json()) {
            let object = Object::from_serialize(&value).unwrap();
            let text = to_yaml(object.root());
            let read = read("x.yaml", &text);
            prop_assert_eq!(&read.errors, &[], "{}", text);
            let back = read.documents.first().map_or_else(Object::null, |document| document.object.clone());
            prop_assert_eq!(back.root(), object.root(), "{}", text);
        }

        #[test]
        fn json_reads_alike_by_both_readers(value in any_json()) {
            prop_assume!(value.is_object() || value.is_array());
            let text = value.to_string();
            prop_assume!(!text.contains(['\u{85}', '\u{2028}', '\u{2029}']));
            let read_as_yaml = read("x.yaml", &format!("# yaml\n{text}"));
            prop_assert_eq!(&read_as_yaml.errors, &[], "{}", text);
            let read_as_json = read("x.json", &text);
            prop_assert_eq!(read_as_json.documents[0].object.root(), read_as_yaml.documents[0].object.root());
        }

        #[test]
        fn every_field_that_was_written_has_its_place(value in any_json()) {
            let object = Object::from_serialize(&value).unwrap();
            let loaded = read("x.yaml", &to_yaml(object.root()));
            let Some(document) = loaded.documents.first() else { return Ok(()) };
            let map = SourceMap::of(document);
            let mut open = vec![(FieldPath::root(), object.root())];
            while let Some((path, node)) = open.pop() {
                for (key, inner) in node.entries() {
                    let path = path.clone().key(key);
                    let position = map.locate(&path);
                    prop_assert!(position.exact, "{}", path);
                    prop_assert_eq!(begins(document, &path), (position.line, position.column), "{}", path);
                    // The place holds the key, as it was written.
                    let written = read("x.yaml", &document.source.text[position.span.clone()]);
                    let found = written.documents.first().map(|document| document.object.root().as_str().unwrap().to_owned());
                    prop_assert_eq!(found.as_deref(), Some(key), "{:?}", position);
                    open.push((path, inner));
                }
                for (index, item) in node.items().enumerate() {
                    let path = path.clone().index(index);
                    let position = map.locate(&path);
                    prop_assert!(position.exact, "{}", path);
                    prop_assert_eq!(begins(document, &path), (position.line, position.column), "{}", path);
                    open.push((path, item));
                }
            }
        }

        #[test]
        fn no_text_makes_it_panic_and_every_root_has_a_place(text in soup()) {
            for loaded in [load("x.yaml", &text), load_found("x.yaml", &text), read("x.yaml", &text)] {
                for document in &loaded.documents {
                    let position = locate(document, &FieldPath::of(&["kind"]));
                    prop_assert!(document.source.text.get(position.span.clone()).is_some(), "{:?}", position);
                    prop_assert!(position.line >= 1 && position.line <= text.matches('\n').count() + 1);
                    prop_assert_eq!(begins(document, &FieldPath::of(&["kind"])), (position.line, position.column));
                }
                for error in &loaded.errors {
                    prop_assert!(error.line >= 1 && error.column >= 1 && !error.message.is_empty(), "{:?}", error);
                }
            }
        }
    }
}
