//! What a caller of a kernel must know of it.

use crate::kernel::Kernel;
use ir::text::{name_text, parse_name};
use std::fmt;
use sym::{Expr, ParseError, Parser, Sym};

/// A kernel without its body. The text form is that of one line:
///
/// ```text
/// kernel k1 params [0, 2] sizes [n] tasks n/8 scratch 1024
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    pub name: String,
    /// The numbers of the buffers that are parameters, in order.
    pub params: Vec<usize>,
    pub sizes: Vec<Sym>,
    /// How many tasks there are, over the sizes.
    pub tasks: Expr,
    /// Bytes of scratch of each worker, over the sizes.
    pub scratch_bytes: Expr,
}

impl Kernel {
    pub fn interface(&self) -> Interface {
        Interface {
            name: self.name.clone(),
            params: self.params().map(|(id, _)| id.0 as usize).collect(),
            sizes: self.sizes.clone(),
            tasks: self.tasks.clone(),
            scratch_bytes: self.scratch().1,
        }
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Interface { name, params, sizes, tasks, scratch_bytes } = self;
        write!(f, "kernel {} params {params:?} sizes {sizes:?} tasks {tasks} scratch {scratch_bytes}", name_text(name))
    }
}

impl std::str::FromStr for Interface {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Interface, ParseError> {
        let mut parser = Parser::new(text);
        let interface = parse(&mut parser)?;
        if parser.at_end() { Ok(interface) } else { parser.error("text after the interface") }
    }
}

fn parse(parser: &mut Parser) -> Result<Interface, ParseError> {
    parser.expect("kernel")?;
    let name = parse_name(parser)?;
    parser.expect("params")?;
    let params = parser.list("[", "]", |parser| match usize::try_from(parser.integer()?) {
        Ok(param) => Ok(param),
        Err(_) => parser.error("no buffer has a negative number"),
    })?;
    parser.expect("sizes")?;
    let sizes = parser.list("[", "]", |parser| parser.ident().map(Sym::new))?;
    parser.expect("tasks")?;
    let tasks = parser.expr()?;
    parser.expect("scratch")?;
    Ok(Interface { name, params, sizes, tasks, scratch_bytes: parser.expr()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        for text in ["kernel k1 params [0, 2] sizes [n, m] tasks n/8 scratch 1024", "kernel k params [] sizes [] tasks 1 scratch 0"] {
            let interface: Interface = text.parse().unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(interface.to_string().parse(), Ok(interface.clone()), "{interface}");
        }
        assert!("kernel k params [-1] sizes [] tasks 1 scratch 0".parse::<Interface>().is_err());
    }
}
