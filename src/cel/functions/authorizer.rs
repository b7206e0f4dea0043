//! The authorizer (Kubernetes 1.27), which is not here: each of its checks is a SubjectAccessReview, a question that only the API server
//! can answer, and that the request alone does not. Expressions that use it are refused where they are compiled.

/// Why the variable of this library, with which each of its expressions begins, is not known; nothing for any other name.
pub(in crate::cel) fn refusal(name: &str) -> Option<&'static str> {
    (name == "authorizer").then_some(
        "the authorizer of Kubernetes asks the API server with a SubjectAccessReview, which an admission request alone does not answer; \
         keep such a rule in a ValidatingAdmissionPolicy",
    )
}
