//! stub
#![allow(missing_docs)]
use std::marker::PhantomData;
#[derive(Clone, Debug)]
pub struct Scope(Vec<String>);
impl Scope {
    pub fn new(names: &[&str]) -> Self {
        Self(names.iter().map(|s| s.to_string()).collect())
    }
    pub fn with(&self, name: &str) -> Self {
        let mut v = self.0.clone();
        v.push(name.into());
        Self(v)
    }
    pub fn slot(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|n| n == name)
    }
}
#[derive(Debug)]
pub struct Expression(String);
pub struct CompileError {
    pub message: String,
    pub line: usize,
    pub column: usize,
}
impl Expression {
    pub fn compile(s: &str, _: &Scope) -> Result<Self, CompileError> {
        Ok(Self(s.into()))
    }
    pub fn source(&self) -> &str {
        &self.0
    }
    pub fn evaluate<'a>(&'a self, _: &dyn Variables<'a>, _: &Budget<'_>) -> Result<Value<'a>, EvaluationError> {
        Ok(Value(PhantomData))
    }
}
pub trait Variables<'a> {
    fn get(&self, slot: usize, budget: &Budget<'_>) -> Result<Value<'a>, EvaluationError>;
}
pub struct Budget<'d>(PhantomData<&'d ()>);
impl<'d> Budget<'d> {
    pub fn new(_: u64) -> Self {
        Self(PhantomData)
    }
    pub fn with_deadline(self, _: &'d dyn Fn() -> bool) -> Self {
        self
    }
    pub fn spent(&self) -> u64 {
        0
    }
}
#[derive(Clone, Debug, thiserror::Error)]
pub enum EvaluationError {
    #[error("{0}")]
    Unknown(String),
    #[error("{0}")]
    Failed(String),
    #[error("b")]
    BudgetExceeded,
    #[error("d")]
    DeadlineExceeded,
}
#[derive(Clone, Debug)]
pub struct Value<'a>(PhantomData<&'a ()>);
#[allow(non_upper_case_globals, non_snake_case)]
impl<'a> Value<'a> {
    pub const Null: Self = Self(PhantomData);
    pub fn from_node(_: crate::object::Node<'a>) -> Self {
        Self(PhantomData)
    }
    pub fn optional(_: Option<Self>) -> Self {
        Self(PhantomData)
    }
    pub fn list(_: Vec<Self>) -> Self {
        Self(PhantomData)
    }
    pub fn as_bool(&self) -> Option<bool> {
        Some(true)
    }
    pub fn as_str(&self) -> Option<&str> {
        None
    }
    pub fn type_name(&self) -> &'static str {
        "x"
    }
}
