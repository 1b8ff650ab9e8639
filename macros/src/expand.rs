//! Turns an `async fn` into one that runs it.
//!
//! The body is passed on as tokens that nobody here looks into: it may use syntax that no parser but the compiler's knows,
//! and errors in it point where they would without the attribute.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{
    Attribute, Error, Ident, Result, Signature, Visibility,
    parse::{Parse, ParseStream},
};

use crate::options::{Options, combine};

/// Which of the attributes is at work.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Main,
    Test,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Main => "#[camshaft::main]",
            Self::Test => "#[camshaft::test]",
        }
    }
}

/// Expands one attribute. What is wrong becomes `compile_error!`s, beside a function that keeps other errors from following.
pub(crate) fn expand(kind: Kind, options: TokenStream, item: TokenStream) -> TokenStream {
    let (options, mut fault) = Options::parse(options);
    let function: Function = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(_) => {
            let message = format!("{} belongs on an `async fn` with a body", kind.name());
            combine(&mut fault, Error::new_spanned(&item, message));
            return with_errors(fault, item);
        }
    };
    let expansion = match function.check(kind) {
        Ok(()) => function.run(kind, &options),
        Err(error) => {
            combine(&mut fault, error);
            function.stub()
        }
    };
    with_errors(fault, expansion)
}

fn with_errors(fault: Option<Error>, item: TokenStream) -> TokenStream {
    let errors = fault.map(Error::into_compile_error);
    quote!(#errors #item)
}

/// A function whose body is left unread.
struct Function {
    attributes: Vec<Attribute>,
    visibility: Visibility,
    signature: Signature,
    body: TokenStream,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        let signature = input.parse()?;
        if !input.peek(syn::token::Brace) {
            return Err(input.error("expected a body"));
        }
        Ok(Self {
            attributes,
            visibility,
            signature,
            body: input.parse()?,
        })
    }
}

impl Function {
    /// Reports everything in the signature that cannot be run.
    fn check(&self, kind: Kind) -> Result<()> {
        let name = kind.name();
        let signature = &self.signature;
        let mut fault = None;
        let mut refuse = |tokens: &dyn ToTokens, message: String| {
            combine(&mut fault, Error::new_spanned(tokens, message));
        };
        if signature.asyncness.is_none() {
            refuse(
                &signature.fn_token,
                format!("{name} runs an async function: write `async fn`"),
            );
        }
        if !signature.inputs.is_empty() || signature.variadic.is_some() {
            let Signature {
                inputs, variadic, ..
            } = signature;
            refuse(
                &quote!(#inputs #variadic),
                format!("a function with {name} takes no arguments"),
            );
        }
        if !signature.generics.params.is_empty() {
            refuse(
                &signature.generics,
                format!("a function with {name} takes no generic parameters"),
            );
        }
        if let Some(clause) = &signature.generics.where_clause {
            refuse(
                clause,
                format!("a function with {name} takes no `where` clause"),
            );
        }
        if let Some(unsafety) = &signature.unsafety {
            refuse(unsafety, format!("a function with {name} is not `unsafe`"));
        }
        if let Some(abi) = &signature.abi {
            refuse(abi, format!("a function with {name} has the Rust ABI"));
        }
        if kind == Kind::Test
            && let Some(test) = self
                .attributes
                .iter()
                .find(|attribute| attribute.path().is_ident("test"))
        {
            refuse(
                test,
                format!("{name} takes the place of `#[test]`: remove this one"),
            );
        }
        fault.map_or(Ok(()), Err)
    }

    /// The function that blocks on the one that was written, which it contains.
    fn run(&self, kind: Kind, options: &Options) -> TokenStream {
        let Self {
            attributes,
            visibility,
            signature: inner,
            body,
        } = self;
        let mut outer = inner.clone();
        outer.asyncness = None;
        let test = (kind == Kind::Test).then(|| quote!(#[::core::prelude::v1::test]));
        let krate = options.krate();
        let name = &inner.ident;
        // Not to be taken for a function of that name.
        let runtime = Ident::new("runtime", Span::mixed_site());
        let run = match options.calls() {
            None => quote!(#krate::block_on(#name())),
            Some(calls) => quote! {
                match #krate::runtime::Builder::new() #calls .build() {
                    ::core::result::Result::Ok(#runtime) => #runtime.block_on(#name()),
                    ::core::result::Result::Err(error) => {
                        ::core::panic!("camshaft cannot build the runtime: {error}")
                    }
                }
            },
        };
        quote! {
            #test
            #(#attributes)*
            #visibility #outer {
                #inner #body
                #run
            }
        }
    }

    /// A function of the same name, so that nobody misses it.
    fn stub(&self) -> TokenStream {
        let Self {
            attributes,
            visibility,
            signature,
            ..
        } = self;
        let (name, output) = (&signature.ident, &signature.output);
        let kept = attributes
            .iter()
            .filter(|attribute| attribute.path().is_ident("cfg"));
        quote! {
            #(#kept)*
            #[allow(dead_code)]
            #visibility fn #name() #output {
                ::core::unreachable!()
            }
        }
    }
}

#[cfg(test)]
mod tests;
