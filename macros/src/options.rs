//! What stands in the parentheses of the attributes: parses it, and says what is wrong with it at the token that is wrong.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::{
    Error, Expr, ExprLit, Ident, Lit, Path, Result, Token,
    ext::IdentExt,
    parse::{Parse, ParseStream, Parser},
};

/// The options, in the order of the documentation.
const KNOWN: &str = "`backend`, `spin`, `ring_entries`, `paused_clock`, `name`, `crate`";
const BACKENDS: [(&str, &str); 3] = [
    ("auto", "Auto"),
    ("io_uring", "IoUring"),
    ("epoll", "Epoll"),
];
const SPINS: [(&str, &str); 3] = [
    ("off", "Off"),
    ("adaptive", "Adaptive"),
    ("always", "Always"),
];

/// What the attribute was told.
#[derive(Default)]
pub(crate) struct Options {
    calls: Vec<Call>,
    krate: Option<Path>,
}

/// A method of the builder, which has the name of its option, and what to give it.
struct Call {
    method: Ident,
    argument: Argument,
}

enum Argument {
    /// A variant of this enum in the module `runtime`.
    Variant(&'static str, Ident),
    Literal(Lit),
}

impl Options {
    /// Parses the tokens between the parentheses. Faulty options are left out of the result and reported together.
    pub(crate) fn parse(tokens: TokenStream) -> (Self, Option<Error>) {
        let settings = (|input: ParseStream<'_>| Ok(settings(input))).parse2(tokens);
        let (settings, mut fault) = settings.unwrap_or_else(|error| (Vec::new(), Some(error)));
        let mut options = Self::default();
        let mut seen: Vec<String> = Vec::new();
        for setting in settings {
            let name = setting.name.unraw().to_string();
            let result = if seen.contains(&name) {
                Err(Error::new(
                    setting.name.span(),
                    format!("the option `{name}` is given twice"),
                ))
            } else {
                options.set(&name, setting)
            };
            seen.push(name);
            if let Err(error) = result {
                combine(&mut fault, error);
            }
        }
        (options, fault)
    }

    /// The path of the camshaft crate.
    pub(crate) fn krate(&self) -> TokenStream {
        self.krate
            .as_ref()
            .map_or_else(|| quote!(::camshaft), ToTokens::to_token_stream)
    }

    /// The method calls that turn a new builder into the one asked for, or `None` if the default runtime will do.
    pub(crate) fn calls(&self) -> Option<TokenStream> {
        let krate = self.krate();
        let calls = self.calls.iter().map(|Call { method, argument }| {
            let argument = match argument {
                Argument::Variant(name, variant) => {
                    let name = Ident::new(name, variant.span());
                    quote!(#krate::runtime::#name::#variant)
                }
                Argument::Literal(literal) => literal.to_token_stream(),
            };
            quote_spanned!(method.span()=> .#method(#argument))
        });
        (!self.calls.is_empty()).then(|| calls.collect())
    }

    fn set(
        &mut self,
        name: &str,
        Setting {
            name: method,
            value,
        }: Setting,
    ) -> Result<()> {
        let argument = match name {
            "backend" => Argument::Variant("Backend", variant(name, &BACKENDS, &value)?),
            "spin" => Argument::Variant("Spin", variant(name, &SPINS, &value)?),
            "ring_entries" => Argument::Literal(entries(&value)?),
            "paused_clock" => Argument::Literal(boolean(name, &value)?),
            "name" => Argument::Literal(string(name, "acceptor", &value)?.into()),
            "crate" => {
                self.krate = Some(path(&value)?);
                return Ok(());
            }
            _ => {
                let message = format!("unknown option `{name}`; the options are {KNOWN}");
                return Err(Error::new(method.span(), message));
            }
        };
        self.calls.push(Call { method, argument });
        Ok(())
    }
}

/// One `name = value`, whatever they are.
struct Setting {
    name: Ident,
    value: Expr,
}

impl Parse for Setting {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let name = input.call(Ident::parse_any).map_err(|error| {
            Error::new(
                error.span(),
                format!("expected the name of an option; the options are {KNOWN}"),
            )
        })?;
        if !input.peek(Token![=]) {
            let message = format!("the option `{name}` needs a value: `{name} = …`");
            return Err(Error::new(name.span(), message));
        }
        input.parse::<Token![=]>()?;
        let value = input.parse()?;
        Ok(Self { name, value })
    }
}

/// Parses settings up to the first that is none.
fn settings(input: ParseStream<'_>) -> (Vec<Setting>, Option<Error>) {
    let mut settings = Vec::new();
    while !input.is_empty() {
        match input.parse() {
            Ok(setting) => settings.push(setting),
            Err(error) => return (settings, Some(rest(input, error))),
        }
        if !input.is_empty()
            && let Err(error) = input.parse::<Token![,]>()
        {
            let error = Error::new(error.span(), "expected a comma between two options");
            return (settings, Some(rest(input, error)));
        }
    }
    (settings, None)
}

/// Skips what cannot be understood, for which `error` is the reason.
fn rest(input: ParseStream<'_>, error: Error) -> Error {
    let skipped: Result<TokenStream> = input.parse();
    skipped.err().unwrap_or(error)
}

/// The variant that a string names.
fn variant(option: &str, choices: &[(&str, &str)], value: &Expr) -> Result<Ident> {
    let (example, _) = choices[0];
    let word = string(option, example, value)?;
    let found = choices.iter().find(|(name, _)| *name == word.value());
    found
        .map(|(_, variant)| Ident::new(variant, word.span()))
        .ok_or_else(|| {
            let names: Vec<_> = choices
                .iter()
                .map(|(name, _)| format!("\"{name}\""))
                .collect();
            let message = format!(
                "unknown {option} \"{}\"; it is one of {}",
                word.value(),
                names.join(", ")
            );
            Error::new(word.span(), message)
        })
}

fn string(option: &str, example: &str, value: &Expr) -> Result<syn::LitStr> {
    match literal(value) {
        Some(Lit::Str(string)) => Ok(string.clone()),
        _ => Err(mistyped(
            option,
            "a string",
            &format!("\"{example}\""),
            value,
        )),
    }
}

fn boolean(option: &str, value: &Expr) -> Result<Lit> {
    match literal(value) {
        Some(boolean @ Lit::Bool(_)) => Ok(boolean.clone()),
        _ => Err(mistyped(option, "a boolean", "true", value)),
    }
}

fn entries(value: &Expr) -> Result<Lit> {
    let Some(Lit::Int(number)) = literal(value) else {
        return Err(mistyped("ring_entries", "an integer", "256", value));
    };
    match number.base10_parse::<u32>() {
        Ok(1..) => Ok(number.clone().into()),
        _ => Err(Error::new(
            number.span(),
            "`ring_entries` is a number from 1 to 4294967295",
        )),
    }
}

fn path(value: &Expr) -> Result<Path> {
    let string = string("crate", "my_crate::camshaft", value)?;
    string.parse_with(Path::parse_mod_style).map_err(|_| {
        let message = format!(
            "\"{}\" is not the path of a crate, such as \"my_crate::camshaft\"",
            string.value()
        );
        Error::new(string.span(), message)
    })
}

fn mistyped(option: &str, what: &str, example: &str, value: &Expr) -> Error {
    Error::new_spanned(
        value,
        format!("`{option}` takes {what}: `{option} = {example}`"),
    )
}

/// The literal that an expression is. One that comes out of a `macro_rules!` parameter is wrapped in an invisible group.
fn literal(value: &Expr) -> Option<&Lit> {
    match value {
        Expr::Lit(ExprLit { lit, .. }) => Some(lit),
        Expr::Group(group) => literal(&group.expr),
        _ => None,
    }
}

/// Adds an error to those found before.
pub(crate) fn combine(fault: &mut Option<Error>, error: Error) {
    match fault {
        Some(fault) => fault.combine(error),
        None => *fault = Some(error),
    }
}
