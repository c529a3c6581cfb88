//! Nests made by chance: affine and mixed-radix maps, padding, reductions, permuted results.

use super::case;

/// Random numbers, the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as i64 % limit
    }

    fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as i64) as usize].clone()
    }
}

/// An iterator's name and extent, as texts.
type Named = (String, String);

/// A dim's index and its extent: an affine map of some iterators, or one with a division.
fn random_index(random: &mut Random, iters: &[Named]) -> Named {
    let (name, extent) = random.pick(iters);
    match random.below(7) {
        0 => ("0".to_string(), "2".to_string()),
        1 => (format!("2*{name} + 1"), format!("2*{extent}")),
        2 => (format!("{extent} - 1 - {name}"), extent),
        3 => {
            let (other, more) = random.pick(iters);
            (format!("{name} + {other}"), format!("{extent} + {more}"))
        }
        4 => (format!("{name}/{}", 2 + random.below(3)), extent),
        5 => (format!("{name} % {}", 2 + random.below(4)), "5".to_string()),
        _ => (name, extent),
    }
}

fn random_nest(random: &mut Random, extents: &[&str]) -> String {
    let named = |k: i64, random: &mut Random| (format!("i{k}"), random.pick(extents).to_string());
    let parallel: Vec<Named> = (0..1 + random.below(3)).map(|k| named(k, random)).collect();
    let folded: Vec<Named> = (0..random.below(3)).map(|k| named(k + 5, random)).collect();
    let list = |iters: &[Named]| iters.iter().map(|(name, e)| format!("{name} in {e}")).collect::<Vec<_>>().join(", ");
    let mut text = format!("nest {{ for {}\n", list(&parallel));
    if !folded.is_empty() {
        text += &format!("  reduce {}\n", list(&folded));
    }
    let all = [&parallel[..], &folded[..]].concat();
    let reads = 1 + random.below(3);
    let mut body = String::new();
    for k in 0..reads {
        let (index, dims): (Vec<String>, Vec<String>) = (0..1 + random.below(3)).map(|_| random_index(random, &all)).unzip();
        text += &format!("  operand a{k}: f32[{}]\n", dims.join(", "));
        let padded = random.below(4) == 0;
        let shifted = if padded { format!("{} - 1", index[0]) } else { index[0].clone() };
        let index = [&[shifted], &index[1..]].concat();
        body += &format!("  v{k}: f32 = a{k}[{}]{}\n", index.join(", "), if padded { " fill 1.5" } else { "" });
    }
    let mut next = reads;
    let mut value = 0;
    for k in 1..reads {
        body += &format!("  v{next}: f32 = {} v{value} v{k}\n", random.pick(&["add", "mul", "max", "sub"]));
        (value, next) = (next, next + 1);
    }
    if !folded.is_empty() {
        body += &format!("  v{next}: f32 = reduce {} v{value}\n", random.pick(&["sum", "max", "min"]));
        (value, next) = (next, next + 1);
    }
    body += &format!("  v{next}: f32 = neg v{value}\n");
    let mut order = parallel.clone();
    order.rotate_left(random.below(parallel.len() as i64) as usize);
    let index: Vec<String> = order.iter().map(|(name, _)| name.clone()).collect();
    let dims: Vec<String> = order.iter().map(|(_, extent)| extent.clone()).collect();
    format!("{text}{body}  write y: f32[{}] at [{}] = v{next} }}", dims.join(", "), index.join(", "))
}

#[test]
fn random_nests() {
    let mut random = Random(11);
    for _ in 0..60 {
        case(&[&random_nest(&mut random, &["1", "2", "3", "4", "5", "8", "12", "16", "21"])]).check();
    }
}

#[test]
fn random_nests_of_unknown_sizes() {
    let mut random = Random(5);
    for _ in 0..40 {
        let text = random_nest(&mut random, &["1", "3", "8", "n", "m", "k"]);
        let sizes = [("n", random.below(12)), ("m", 1 + random.below(20)), ("k", random.below(4))];
        case(&[&text]).sizes(&sizes).check();
    }
}
