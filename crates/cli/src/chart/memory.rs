//! The memory plan: each temporary is a box, from its first to its last step and from its offset on as high as it has bytes.

use super::{ACCENT, FAINT, GRID, INK, fitted, label, line, page, rectangle, text_width, ticks, tooltip};
use crate::report;
use svg::Document;
use svg::node::element::{Group, Polyline, Rectangle, Text};

/// A temporary in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    pub name: String,
    /// First and last step that uses it.
    pub life: (usize, usize),
    pub offset: usize,
    pub bytes: usize,
}

/// The plan of a call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub places: Vec<Place>,
    pub arena_bytes: usize,
    /// Live bytes of each step.
    pub live_bytes: Vec<usize>,
}

const LEFT: f64 = 84.0;
const TOP: f64 = 66.0;
const RIGHT: f64 = 20.0;
const BOTTOM: f64 = 46.0;
const HEIGHT: f64 = 520.0;
const FONT: f64 = 10.0;
const COLOURS: [&str; 8] = ["#a9c7e8", "#f2c79b", "#b5d9b0", "#e6b3bd", "#cdbfe6", "#e3d58f", "#a5d8d6", "#d5c1ad"];

/// Where steps and bytes lie on the page.
struct Scale {
    step: f64,
    byte: f64,
}

impl Scale {
    fn x(&self, step: usize) -> f64 {
        LEFT + step as f64 * self.step
    }

    fn y(&self, bytes: usize) -> f64 {
        TOP + HEIGHT - bytes as f64 * self.byte
    }
}

pub fn chart(model: &str, plan: &Plan) -> Document {
    let steps = plan.live_bytes.len().max(1);
    let width = (steps as f64 * 14.0).clamp(900.0, 3600.0);
    let scale = Scale { step: width / steps as f64, byte: HEIGHT / plan.arena_bytes.max(1) as f64 };
    let bound = plan.live_bytes.iter().copied().max().unwrap_or(0);
    let explanation = format!(
        "{} temporaries in an arena of {}, {:.3} of the {} that are live at once (dashed); the grey line is what each step has live",
        plan.places.len(),
        report::bytes(plan.arena_bytes),
        if bound > 0 { plan.arena_bytes as f64 / bound as f64 } else { 1.0 },
        report::bytes(bound),
    );
    let page = page(LEFT + width + RIGHT, TOP + HEIGHT + BOTTOM, &format!("Memory plan of {model}"), &explanation);
    let boxes =
        plan.places.iter().enumerate().fold(Group::new(), |group, (at, place)| group.add(place_box(place, COLOURS[at % 8], &scale)));
    let names = plan.places.iter().filter_map(|place| place_name(place, &scale)).fold(Group::new(), Group::add);
    let right = LEFT + width;
    let dashed = line((LEFT, scale.y(bound)), (right, scale.y(bound)), ACCENT).set("stroke-width", 1.5).set("stroke-dasharray", "7 4");
    page.add(axes(plan, steps, &scale)).add(boxes).add(live_line(plan, &scale)).add(dashed).add(names)
}

fn axes(plan: &Plan, steps: usize, scale: &Scale) -> Group {
    let (bottom, right) = (scale.y(0), scale.x(steps));
    let mut group = Group::new().set("font-size", 11);
    for bytes in ticks(plan.arena_bytes, 8, true) {
        let text = report::bytes(bytes);
        let y = scale.y(bytes);
        group = group.add(line((LEFT, y), (right, y), GRID)).add(label(&text, LEFT - 8.0, y + 4.0, 11.0).set("text-anchor", "end"));
    }
    for step in ticks(steps - 1, 20, false) {
        let x = scale.x(step) + scale.step / 2.0;
        group = group.add(label(&step.to_string(), x, bottom + 16.0, 11.0).set("text-anchor", "middle"));
    }
    group.add(label("step", LEFT, bottom + 34.0, 11.0).set("fill", FAINT))
}

/// The left upper corner of a box, its width and its height.
fn area(place: &Place, scale: &Scale) -> [f64; 4] {
    let (left, top) = (scale.x(place.life.0), scale.y(place.offset + place.bytes));
    [left, top, scale.x(place.life.1 + 1) - left, scale.y(place.offset) - top]
}

fn place_box(place: &Place, colour: &str, scale: &Scale) -> Rectangle {
    let [left, top, width, height] = area(place, scale);
    let text = format!("{}: {} at {}, steps {} to {}", place.name, report::bytes(place.bytes), place.offset, place.life.0, place.life.1);
    rectangle(left, top, width, height, colour).set("stroke", INK).set("stroke-width", 0.4).add(tooltip(&text))
}

/// The name inside of its box, along the longer side where it fits better there; None where the box is too small.
fn place_name(place: &Place, scale: &Scale) -> Option<Text> {
    let [left, top, width, height] = area(place, scale);
    let (across, upright) = (height >= FONT + 2.0, width >= FONT + 2.0);
    let sideways = upright && (!across || text_width(&place.name, FONT) > width - 6.0 && height > width);
    let room = if sideways { height } else { width } - 6.0;
    let text = fitted(&place.name, room, FONT);
    if text.is_empty() || !(across || sideways) {
        return None;
    }
    let (x, y) = (left + width / 2.0, top + height / 2.0);
    let label = label(&text, x, y + FONT * 0.35, FONT).set("text-anchor", "middle").set("pointer-events", "none");
    Some(if sideways { label.set("transform", format!("rotate(-90 {x:.2} {y:.2})")) } else { label })
}

fn live_line(plan: &Plan, scale: &Scale) -> Polyline {
    let step = |(at, bytes): (usize, &usize)| format!("{:.2},{y:.2} {:.2},{y:.2}", scale.x(at), scale.x(at + 1), y = scale.y(*bytes));
    let points: Vec<String> = plan.live_bytes.iter().enumerate().map(step).collect();
    Polyline::new()
        .set("points", points.join(" "))
        .set("fill", "none")
        .set("stroke", INK)
        .set("stroke-width", 1.4)
        .set("stroke-opacity", 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_stand_where_the_plan_puts_them() {
        let place = |name: &str, life, offset, bytes| Place { name: name.to_string(), life, offset, bytes };
        let places = vec![place("a<b", (0, 1), 0, 64), place("c", (1, 2), 64, 64)];
        let plan = Plan { places, arena_bytes: 128, live_bytes: vec![64, 128, 64] };
        let text = chart("m", &plan).to_string();
        for part in ["a&lt;b: 64 B at 0, steps 0 to 1", "1.000 of the 128 B", "height=\"260.00\"", "width=\"600.00\""] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(chart("empty", &Plan::default()).to_string().contains("0 temporaries"));
    }
}
