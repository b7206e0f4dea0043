//! From the paths of a command line to files: the only room here that touches the disk.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::MAX_FILE_BYTES;
use super::document::{InputError, Loaded, Note, load_bytes};

/// Where a file's bytes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file on disk.
    Path(PathBuf),
    /// Standard input.
    Stdin,
}

/// A file to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Name under which it is shown: the path as the user gave it, `<stdin>`.
    pub name: String,
    /// Where its bytes are.
    pub origin: Origin,
    /// Whether it was found in a folder or by a glob; then documents that are no Kubernetes objects are skipped.
    pub found: bool,
}

/// The files that some paths stand for, in an order that does not depend on the disk.
#[derive(Debug, Default)]
pub struct Discovered {
    /// The files; none twice.
    pub files: Vec<File>,
    /// Paths that do not exist or cannot be listed.
    pub errors: Vec<InputError>,
    /// What was passed over.
    pub notes: Vec<Note>,
}

/// Folders that hold no manifests of their own.
const SKIPPED_FOLDERS: [&str; 1] = ["node_modules"];
/// Files of Helm and kustomize that look like objects and are none.
const SKIPPED_FILES: [&str; 4] = ["Chart.yaml", "kustomization.yaml", "kustomization.yml", "values.schema.json"];
/// Endings of files that a folder is searched for.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];
/// Deepest folder that is searched.
const MAX_FOLDER_DEPTH: usize = 64;

/// Finds the files that paths stand for: a file whatever its ending, a folder with all below it, a glob, or `-` for standard input.
#[must_use]
pub fn discover(paths: &[String]) -> Discovered {
    let mut search = Search::default();
    for path in paths {
        search.path(path);
    }
    search.found
}

/// Reads a file and loads its documents.
#[must_use]
pub fn load_file(file: &File) -> Loaded {
    match bytes(file) {
        Ok(bytes) => load_bytes(&file.name, &bytes, file.found),
        Err(message) => Loaded { errors: vec![whole(&file.name, message)], ..Loaded::default() },
    }
}

fn bytes(file: &File) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    // One byte more than allowed, so that `load` sees that there was more.
    let limit = MAX_FILE_BYTES as u64 + 1;
    let read = match &file.origin {
        Origin::Stdin => std::io::stdin().lock().take(limit).read_to_end(&mut bytes),
        Origin::Path(path) => std::fs::File::open(path).and_then(|open| open.take(limit).read_to_end(&mut bytes)),
    };
    read.map_err(|error| format!("cannot be read ({}): check the path and its permissions", reason(&error)))?;
    if bytes.len() > MAX_FILE_BYTES {
        return Err(format!("larger than {} MiB: split the file", MAX_FILE_BYTES >> 20));
    }
    Ok(bytes)
}

/// The operating system's words without the number that Rust adds.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

fn whole(file: &str, message: String) -> InputError {
    InputError { file: file.into(), line: 0, column: 0, message }
}

#[derive(Default)]
struct Search {
    found: Discovered,
    /// Real paths of the files found, with their position, so that none is judged twice.
    seen: BTreeMap<PathBuf, usize>,
    stdin: bool,
}

impl Search {
    fn path(&mut self, text: &str) {
        if text == "-" {
            if !std::mem::replace(&mut self.stdin, true) {
                self.found.files.push(File { name: "<stdin>".into(), origin: Origin::Stdin, found: false });
            }
            return;
        }
        let path = Path::new(text);
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => self.folder(path, path, 0),
            Ok(_) => self.file(path, false),
            Err(_) if text.contains(['*', '?', '[']) => self.glob(text),
            Err(error) => {
                let message = format!("cannot be read ({}): check the path", reason(&error));
                self.found.errors.push(whole(text, message));
            }
        }
    }

    fn glob(&mut self, pattern: &str) {
        let options = glob::MatchOptions { require_literal_leading_dot: true, require_literal_separator: true, case_sensitive: true };
        let matches = match glob::glob_with(pattern, options) {
            Ok(matches) => matches,
            Err(error) => {
                let message = format!("not a valid pattern ({} at character {}): quote or correct it", error.msg, error.pos + 1);
                self.found.errors.push(whole(pattern, message));
                return;
            }
        };
        let mut paths = Vec::new();
        for found in matches {
            match found {
                Ok(path) => paths.push(path),
                Err(error) => {
                    let message = format!("cannot be listed ({})", reason(error.error()));
                    self.found.errors.push(whole(&error.path().to_string_lossy(), message));
                }
            }
        }
        if paths.is_empty() {
            self.found.errors.push(whole(pattern, "no file matches the pattern: check the path".into()));
        }
        paths.sort();
        for path in paths {
            if path.is_dir() { self.folder(&path, &path, 0) } else { self.file(&path, true) }
        }
    }

    fn folder(&mut self, root: &Path, folder: &Path, depth: usize) {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                let message = format!("cannot be listed ({}): check its permissions", reason(&error));
                self.found.errors.push(whole(&folder.to_string_lossy(), message));
                return;
            }
        };
        let mut paths: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Ok(metadata) = std::fs::symlink_metadata(&path) else { continue };
            if name.starts_with('.') || SKIPPED_FOLDERS.contains(&name.as_str()) {
                continue;
            }
            if metadata.is_dir() && depth < MAX_FOLDER_DEPTH {
                self.folder(root, &path, depth + 1);
            } else if metadata.is_dir() {
                let message = format!("more than {MAX_FOLDER_DEPTH} folders deep: give this folder by itself");
                self.found.errors.push(whole(&path.to_string_lossy(), message));
            } else if is_manifest(&path) {
                self.candidate(root, &path, &name, metadata.is_symlink());
            }
        }
    }

    /// A file of a folder that has the right ending.
    fn candidate(&mut self, root: &Path, path: &Path, name: &str, is_symlink: bool) {
        if SKIPPED_FILES.contains(&name) {
            self.note(
                path,
                "skipped: it describes a chart or kustomization; render it (`helm template`, `kustomize build`) and audit the result",
            );
            return;
        }
        if is_symlink {
            // A mounted ConfigMap links its files into a hidden folder beside them, so links that stay inside are followed.
            let inside = matches!((path.canonicalize(), root.canonicalize()), (Ok(target), Ok(root)) if target.starts_with(&root));
            if !inside {
                self.note(path, "skipped: the link leads out of the folder or nowhere; give its target as a path of its own");
                return;
            }
            if !path.is_file() {
                return;
            }
        }
        self.file(path, true);
    }

    fn file(&mut self, path: &Path, found: bool) {
        let name = path.to_string_lossy().into_owned();
        // A path that cannot be resolved is kept: reading it says why.
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let files = &mut self.found.files;
        match self.seen.get(&real).and_then(|index| files.get_mut(*index)) {
            // What is named once is no longer merely found.
            Some(file) => file.found &= found,
            None => {
                self.seen.insert(real, files.len());
                files.push(File { name, origin: Origin::Path(path.to_owned()), found });
            }
        }
    }

    fn note(&mut self, path: &Path, message: &str) {
        self.found.notes.push(Note { file: path.to_string_lossy().into_owned(), line: 0, column: 0, message: message.into() });
    }
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}
