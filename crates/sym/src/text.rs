//! Text of expressions: `2*n + 3`, `(n + 1)/2` (floor division), `n % 4`, `min(a, b)`, `max(a, b)`.

use crate::expr::{Atom, Expr, Sym};
use std::fmt;

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Atom::Sym(sym) => write!(f, "{sym}"),
            Atom::FloorDiv(a, b) => write!(f, "({a})/({b})"),
            Atom::Min(a, b) => write!(f, "min({a}, {b})"),
            Atom::Max(a, b) => write!(f, "max({a}, {b})"),
        }
    }
}

impl fmt::Debug for Atom {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0");
        }
        // the constant stands last
        let (constants, products): (Vec<_>, Vec<_>) = self.terms().iter().partition(|(m, _)| m.is_empty());
        for (at, (monomial, c)) in products.into_iter().chain(constants).enumerate() {
            let sign = match (at, *c < 0) {
                (0, false) => "",
                (0, true) => "-",
                (_, false) => " + ",
                (_, true) => " - ",
            };
            f.write_str(sign)?;
            write_term(f, monomial, c.unsigned_abs(), at == 0 && *c < 0)?;
        }
        Ok(())
    }
}

fn write_term(f: &mut fmt::Formatter, monomial: &[Atom], c: u64, negated: bool) -> fmt::Result {
    let (divisions, plain): (Vec<_>, Vec<_>) = monomial.iter().partition(|a| matches!(a, Atom::FloorDiv(..)));
    let mut first = true;
    if c != 1 || monomial.is_empty() {
        write!(f, "{c}")?;
        first = false;
    }
    for atom in plain {
        write!(f, "{}{atom}", if first { "" } else { "*" })?;
        first = false;
    }
    for atom in divisions {
        // in brackets: `a*(b)/(c)` would read as `(a*b)/c`, `-(b)/(c)` as `(-b)/c`
        if first && monomial.len() == 1 && !negated {
            write!(f, "{atom}")?
        } else {
            write!(f, "{}({atom})", if first { "" } else { "*" })?
        }
        first = false;
    }
    Ok(())
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is wrong with a text, and at which line and column (from 1).
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ParseError {
    pub line: usize,
    pub column: usize,
    pub message: String,
}

/// A cursor over text, shared by the parsers of all levels. Blanks, newlines and `//` comments separate tokens.
pub struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

const MAX_DEPTH: usize = 200;

/// The largest weight of an expression that is read, and the most terms of a product: short texts can stand for very long sums.
const MAX_WEIGHT: usize = 1 << 12;

impl<'a> Parser<'a> {
    pub fn new(text: &'a str) -> Parser<'a> {
        Parser { text, at: 0, depth: 0 }
    }

    pub fn error<T>(&self, message: impl Into<String>) -> Result<T, ParseError> {
        let before = &self.text[..self.at];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        Err(ParseError { line, column, message: message.into() })
    }

    pub fn skip_blank(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with("//") {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    /// The text from the cursor on, after blanks.
    pub fn rest(&mut self) -> &'a str {
        self.skip_blank();
        &self.text[self.at..]
    }

    pub fn at_end(&mut self) -> bool {
        self.rest().is_empty()
    }

    /// Whether the text goes on with `token`; the cursor stays.
    pub fn peek(&mut self, token: &str) -> bool {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let rest = self.rest();
        let cut_word = token.ends_with(word) && rest.get(token.len()..).is_some_and(|after| after.starts_with(word));
        rest.starts_with(token) && !cut_word
    }

    /// Takes `token` where the text goes on with it. A word is taken only whole.
    pub fn accept(&mut self, token: &str) -> bool {
        let found = self.peek(token);
        if found {
            self.at += token.len();
        }
        found
    }

    pub fn expect(&mut self, token: &str) -> Result<(), ParseError> {
        if self.accept(token) {
            return Ok(());
        }
        let found: String = self.rest().chars().take(20).collect();
        self.error(format!("expected `{token}`, found `{found}`"))
    }

    /// Takes the longest run of characters that `keep` accepts; empty where there is none.
    pub fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let len = rest.find(|c| !keep(c)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    /// An identifier: letters, digits, `_`, `.`, `$`; not starting with a digit.
    pub fn ident(&mut self) -> Result<&'a str, ParseError> {
        let starts = self.rest().starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '$');
        if !starts {
            return self.error("expected a name");
        }
        Ok(self.take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '$')))
    }

    /// A text in double quotes, with the escapes of Rust's `{:?}`: `\"`, `\\`, `\n`, `\t`, `\r`, `\0`, `\'`, `\u{..}`.
    pub fn string(&mut self) -> Result<String, ParseError> {
        self.expect("\"")?;
        let mut out = String::new();
        let mut chars = self.text[self.at..].char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += at + 1;
                    return Ok(out);
                }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some('r') => out.push('\r'),
                    Some('0') => out.push('\0'),
                    Some(c @ ('"' | '\\' | '\'')) => out.push(c),
                    Some('u') => {
                        let digits: String = chars.by_ref().map(|(_, c)| c).skip_while(|c| *c == '{').take_while(|c| *c != '}').collect();
                        match u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32) {
                            Some(c) => out.push(c),
                            None => return self.error("bad \\u{..} escape"),
                        }
                    }
                    _ => return self.error("bad escape in a text"),
                },
                c => out.push(c),
            }
        }
        self.error("a text without its closing quote")
    }

    /// A decimal integer with an optional sign.
    pub fn integer(&mut self) -> Result<i64, ParseError> {
        let negative = self.accept("-");
        let digits = self.take_while(|c| c.is_ascii_digit());
        let signed = if negative { format!("-{digits}") } else { digits.to_string() };
        match signed.parse() {
            Ok(value) => Ok(value),
            Err(_) => self.error("expected an integer that fits 64 bits"),
        }
    }

    /// `open item, item, ... close`, with an optional comma at the end.
    pub fn list<T>(
        &mut self,
        open: &str,
        close: &str,
        mut item: impl FnMut(&mut Parser<'a>) -> Result<T, ParseError>,
    ) -> Result<Vec<T>, ParseError> {
        self.expect(open)?;
        let mut out = Vec::new();
        while !self.accept(close) {
            out.push(item(self)?);
            if !self.accept(",") {
                self.expect(close)?;
                break;
            }
        }
        Ok(out)
    }

    pub fn expr(&mut self) -> Result<Expr, ParseError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.error("expression nested too deeply");
        }
        let mut sum = self.product()?;
        loop {
            if self.accept("+") {
                sum = sum + self.product()?;
            } else if self.accept("-") {
                sum = sum - self.product()?;
            } else {
                self.depth -= 1;
                return Ok(sum);
            }
        }
    }

    fn product(&mut self) -> Result<Expr, ParseError> {
        let mut product = self.factor()?;
        loop {
            if self.accept("*") {
                let factor = self.factor()?;
                if product.terms().len() * factor.terms().len() > MAX_WEIGHT {
                    return self.error("expression too complicated");
                }
                product = self.bounded(product * factor)?;
            } else if self.peek("/") && !self.peek("//") {
                self.expect("/")?;
                let divisor = self.divisor()?;
                product = self.bounded(product.floor_div(&divisor))?;
            } else if self.accept("%") {
                let divisor = self.divisor()?;
                product = self.bounded(product.modulo(&divisor))?;
            } else {
                return Ok(product);
            }
        }
    }

    fn bounded(&self, expr: Expr) -> Result<Expr, ParseError> {
        if expr.weight() > MAX_WEIGHT { self.error("expression too complicated") } else { Ok(expr) }
    }

    fn divisor(&mut self) -> Result<Expr, ParseError> {
        let divisor = self.factor()?;
        if divisor.as_const().is_some_and(|d| d <= 0) {
            return self.error("a divisor must be positive");
        }
        Ok(divisor)
    }

    fn factor(&mut self) -> Result<Expr, ParseError> {
        if self.accept("-") {
            let negated = if self.peek("-") { return self.error("two signs in a row") } else { self.factor()? };
            return Ok(-negated);
        }
        if self.accept("(") {
            let inner = self.expr()?;
            self.expect(")")?;
            return Ok(inner);
        }
        if self.rest().starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(Expr::from(self.integer()?));
        }
        let name = self.ident()?;
        match name {
            "min" | "max" => {
                self.expect("(")?;
                let a = self.expr()?;
                self.expect(",")?;
                let b = self.expr()?;
                self.expect(")")?;
                Ok(if name == "min" { a.minimum(&b) } else { a.maximum(&b) })
            }
            _ => Ok(Expr::sym(&Sym::new(name))),
        }
    }
}

impl std::str::FromStr for Expr {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Expr, ParseError> {
        let mut parser = Parser::new(text);
        let expr = parser.expr()?;
        if parser.at_end() { Ok(expr) } else { parser.error("text after the expression") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        for text in [
            "0",
            "-3",
            "2*n + 3",
            "a*b*7 - n",
            "(n + 1)/(2)",
            "n % 4",
            "3*min(a, b + 1)*((x + 5)/(7)) - 1",
            "max(0, n - 1)",
            "n*n",
            "0 - n/2",
            "m - n/2",
        ] {
            let expr: Expr = text.parse().unwrap();
            assert_eq!(expr.to_string().parse::<Expr>().unwrap(), expr, "{text} printed as {expr}");
        }
    }

    #[test]
    fn short_texts_of_long_sums_are_refused() {
        let chain = |part: &dyn Fn(usize) -> String, sign: &str| (1..5000).map(part).collect::<Vec<String>>().join(sign);
        let texts = [
            chain(&|at| format!("(n/{at} + 1)"), "*"),
            chain(&|at| format!("(n + {at})"), " % "),
            chain(&|_| "n".to_string(), "/"),
            format!("{}n{}", "(".repeat(300), ")".repeat(300)),
        ];
        for text in texts {
            let error = text.parse::<Expr>().unwrap_err().to_string();
            assert!(error.contains("expression too complicated") || error.contains("nested too deeply"), "{error}");
        }
        assert_eq!(chain(&|_| "n".to_string(), " + ").parse::<Expr>().unwrap(), "4999*n".parse().unwrap());
    }

    #[test]
    fn errors_say_where() {
        let error = "n +\n )".parse::<Expr>().unwrap_err();
        assert_eq!((error.line, error.column), (2, 2));
        assert!("n/0".parse::<Expr>().is_err());
        assert!(!Parser::new("%0 \"né").peek("symbol"));
    }
}
