//! The ten classes as drawings. Coordinates reach from -14 to 14, left is negative, `y` points down.
//!
//! The ranges of neighbouring classes overlap on purpose (a long-sleeved T-shirt is nearly a pullover, a coat nearly
//! a shirt): that is where the real data is hard too.

use super::canvas::{Canvas, Point};
use crate::rng::SplitMix64;

/// Draws one garment of this class.
pub(super) fn draw(canvas: &mut Canvas, label: u8, rng: &mut SplitMix64) {
    match label {
        0 => t_shirt(canvas, rng),
        1 => trouser(canvas, rng),
        2 => pullover(canvas, rng),
        3 => dress(canvas, rng),
        4 => coat(canvas, rng),
        5 => sandal(canvas, rng),
        6 => shirt(canvas, rng),
        7 => sneaker(canvas, rng),
        8 => bag(canvas, rng),
        _ => ankle_boot(canvas, rng),
    }
}

/// The measures of anything worn on the upper body.
struct Top {
    shoulder: f32,
    chest: f32,
    hem: f32,
    top: f32,
    bottom: f32,
    /// Half width and depth of the neck opening.
    neck: Point,
    /// Length of the sleeve: 0 none, 1 down to the hip.
    sleeve: f32,
    /// How far the hands are from the body.
    spread: f32,
}

impl Top {
    fn draw(&self, canvas: &mut Canvas, rng: &mut SplitMix64) {
        let armpit = self.top + 6.0;
        if self.sleeve > 0.0 {
            let shoulder = [self.shoulder, self.top + 0.6];
            let under = [self.chest - 0.4, armpit];
            let hand = [self.shoulder + self.spread, self.top + 20.5];
            let cuff = rng.range(2.6, 3.6);
            let outer = towards(shoulder, hand, self.sleeve);
            // A short sleeve ends wide.
            let inner = towards(under, [hand[0] - cuff, hand[1] + 0.3], self.sleeve - 0.12);
            canvas.fill_both(
                &[[0.0, self.top], shoulder, [shoulder[0] + 0.9, shoulder[1] + 1.6], outer, inner, under],
                rng.range(0.8, 1.0),
            );
        }
        let [neck, depth] = self.neck;
        canvas.fill(
            &[
                [-neck, self.top],
                [-neck * 0.6, self.top + depth * 0.8],
                [0.0, self.top + depth],
                [neck * 0.6, self.top + depth * 0.8],
                [neck, self.top],
                [self.shoulder, self.top + 0.6],
                [self.chest, armpit],
                [self.hem, self.bottom],
                [-self.hem, self.bottom],
                [-self.chest, armpit],
                [-self.shoulder, self.top + 0.6],
            ],
            1.0,
        );
        if self.sleeve > 0.0 && rng.chance(0.6) {
            // The seam between body and sleeve.
            let factor = rng.range(0.5, 0.9);
            for side in [-1.0, 1.0] {
                canvas.crease(
                    [side * self.shoulder * 0.96, self.top + 1.0],
                    [side * self.chest, armpit + 1.0],
                    0.8,
                    factor,
                );
            }
        }
        self.folds(canvas, rng);
    }

    /// Creases anywhere on the body, light or dark: not every line is a button placket.
    fn folds(&self, canvas: &mut Canvas, rng: &mut SplitMix64) {
        for _ in 0..rng.below(4) {
            let x = rng.range(-self.chest, self.chest);
            let y = rng.range(self.top + 4.0, self.bottom);
            let end = [x + rng.range(-2.5, 2.5), y + rng.range(-9.0, 9.0)];
            canvas.crease([x, y], end, rng.range(0.5, 1.3), rng.range(0.6, 1.3));
        }
    }
}

fn t_shirt(canvas: &mut Canvas, rng: &mut SplitMix64) {
    let long = rng.chance(0.06);
    let chest = rng.range(5.4, 7.6);
    let top = Top {
        shoulder: chest + rng.range(-0.4, 1.0),
        chest,
        hem: chest + rng.range(-0.7, 1.0),
        top: rng.range(-12.8, -11.4),
        bottom: rng.range(9.6, 12.8),
        neck: [rng.range(2.0, 3.8), rng.range(1.0, 4.2)],
        sleeve: if rng.chance(0.08) {
            0.0
        } else if long {
            rng.range(0.7, 1.0)
        } else {
            rng.range(0.24, 0.5)
        },
        spread: if long { rng.range(3.0, 5.5) } else { rng.range(6.0, 12.0) },
    };
    top.draw(canvas, rng);
    if rng.chance(0.4) {
        neckband(canvas, &top, rng);
    }
}

fn pullover(canvas: &mut Canvas, rng: &mut SplitMix64) {
    let chest = rng.range(5.8, 7.8);
    let top = Top {
        shoulder: chest + rng.range(-0.8, 0.8),
        chest,
        hem: chest + rng.range(-1.0, 0.4),
        top: rng.range(-12.8, -11.2),
        bottom: rng.range(8.6, 12.4),
        neck: [rng.range(1.8, 3.6), rng.range(0.6, 3.0)],
        sleeve: rng.range(0.8, 1.05),
        spread: rng.range(2.6, 5.8),
    };
    top.draw(canvas, rng);
    if rng.chance(0.7) {
        neckband(canvas, &top, rng);
    }
    if rng.chance(0.6) {
        // The ribbed hem.
        let factor = rng.range(0.6, 0.9);
        let y = top.bottom - 1.0;
        canvas.crease([-9.0, y], [9.0, y], 1.6, factor);
    }
    if rng.chance(0.12) {
        hood(canvas, &top, rng);
    }
}

fn coat(canvas: &mut Canvas, rng: &mut SplitMix64) {
    let chest = rng.range(5.6, 7.6);
    let top = Top {
        shoulder: chest + rng.range(-0.6, 0.9),
        chest,
        hem: chest + rng.range(-0.4, 1.4),
        top: rng.range(-13.0, -11.6),
        bottom: rng.range(10.4, 13.4),
        neck: [rng.range(1.2, 2.8), rng.range(0.6, 2.4)],
        sleeve: rng.range(0.85, 1.1),
        spread: rng.range(2.4, 5.2),
    };
    top.draw(canvas, rng);
    let x = rng.range(-0.8, 0.8);
    let collar = rng.range(2.0, 7.0);
    // Open front, dark inside.
    canvas.crease([x, top.top], [x, 14.0], rng.range(0.5, 1.5), rng.range(0.15, 0.75));
    for side in [-1.0, 1.0] {
        canvas.tint(
            &[
                [side * top.neck[0], top.top],
                [side * (top.neck[0] + 1.8), top.top + 0.6],
                [side * 2.0, top.top + collar * 0.7],
                [x, top.top + collar],
            ],
            rng.range(0.65, 1.3),
        );
    }
    if rng.chance(0.4) {
        let factor = rng.range(0.5, 1.3);
        for side in [-1.0, 1.0] {
            let y = rng.range(3.0, 5.0);
            canvas.crease([side * 2.6, y], [side * 5.0, y - 0.6], 0.9, factor);
        }
    }
    if rng.chance(0.25) {
        hood(canvas, &top, rng);
    }
}

fn shirt(canvas: &mut Canvas, rng: &mut SplitMix64) {
    let long = rng.chance(0.6);
    let chest = rng.range(5.2, 7.4);
    let top = Top {
        shoulder: chest + rng.range(-0.6, 0.9),
        chest,
        hem: chest + rng.range(-0.8, 1.4),
        top: rng.range(-12.8, -11.4),
        bottom: rng.range(9.6, 13.2),
        neck: [rng.range(1.6, 3.2), rng.range(1.0, 4.0)],
        sleeve: if long { rng.range(0.75, 1.05) } else { rng.range(0.25, 0.6) },
        spread: if long { rng.range(2.6, 5.6) } else { rng.range(5.0, 10.5) },
    };
    top.draw(canvas, rng);
    if rng.chance(0.8) {
        // Two collar points.
        let shade = rng.range(0.75, 1.25);
        let drop = rng.range(2.2, 4.0);
        canvas.fill_both(
            &[
                [0.4, top.top + top.neck[1]],
                [top.neck[0], top.top - 0.4],
                [top.neck[0] + 1.2, top.top + 0.4],
                [top.neck[0], top.top + drop],
            ],
            shade,
        );
    }
    if rng.chance(0.75) {
        // Placket and buttons.
        let x = rng.range(-0.5, 0.5);
        let neck = top.top + top.neck[1];
        let end = if rng.chance(0.8) { top.bottom } else { neck + 6.0 };
        canvas.crease([x, neck], [x, end], rng.range(0.4, 1.0), rng.range(0.55, 0.9));
        let mut y = neck + 2.0;
        while y < end {
            canvas.crease([x, y - 0.4], [x, y + 0.4], 0.8, 0.55);
            y += 3.5;
        }
    }
}

fn dress(canvas: &mut Canvas, rng: &mut SplitMix64) {
    let chest = rng.range(3.2, 5.0);
    let waist = chest - rng.range(0.0, 1.4);
    let hem = rng.range(waist + 0.4, 8.2);
    let top = rng.range(-13.4, -12.0);
    let bottom = rng.range(11.0, 13.6);
    let waist_y = rng.range(-4.0, 0.5);
    let strap = rng.range(0.55, 1.0) * chest;
    if rng.chance(0.35) {
        let sleeve = if rng.chance(0.5) { rng.range(0.2, 0.45) } else { rng.range(0.6, 1.0) };
        let outer = towards([chest, top + 0.5], [chest + 4.2, 6.5], sleeve);
        let inner = towards([chest - 0.5, top + 5.0], [chest + 1.8, 6.5], sleeve);
        canvas.fill_both(&[[0.0, top], [chest, top + 0.5], outer, inner, [chest - 0.5, top + 5.0]], 0.9);
    }
    let neck = strap * rng.range(0.35, 0.75);
    let depth = rng.range(0.8, 4.0);
    canvas.fill(
        &[
            [-neck, top],
            [0.0, top + depth],
            [neck, top],
            [strap, top],
            [chest, top + 5.0],
            [waist, waist_y],
            [hem, bottom],
            [-hem, bottom],
            [-waist, waist_y],
            [-chest, top + 5.0],
            [-strap, top],
        ],
        1.0,
    );
    if rng.chance(0.5) {
        canvas.crease([-6.0, waist_y], [6.0, waist_y], rng.range(0.6, 1.6), rng.range(0.4, 1.3));
    }
    for _ in 0..rng.below(4) {
        let x = rng.range(-0.8, 0.8);
        let factor = rng.range(0.65, 1.2);
        canvas.crease([x * waist, waist_y + 1.0], [x * hem, bottom], 0.8, factor);
    }
}

fn trouser(canvas: &mut Canvas, rng: &mut SplitMix64) {
    let waist = rng.range(3.2, 5.2);
    let hip = waist + rng.range(0.3, 1.5);
    let top = rng.range(-13.4, -12.2);
    let bottom = rng.range(12.0, 13.6);
    let crotch = rng.range(-6.5, -1.5);
    let outer = rng.range(3.4, 6.8);
    let gap = rng.range(0.25, 1.8).min(outer - 2.2);
    // Some are cut short.
    let bottom = if rng.chance(0.12) { rng.range(2.0, 8.0) } else { bottom };
    canvas.fill(
        &[
            [-waist, top],
            [waist, top],
            [hip, crotch],
            [outer, bottom],
            [gap, bottom],
            [0.0, crotch],
            [-gap, bottom],
            [-outer, bottom],
            [-hip, crotch],
        ],
        1.0,
    );
    canvas.crease([0.0, top], [0.0, crotch], 0.7, rng.range(0.5, 0.95));
    if rng.chance(0.6) {
        canvas.crease([-waist, top + 0.8], [waist, top + 0.8], 1.4, rng.range(0.6, 1.2));
    }
    if rng.chance(0.5) {
        let factor = rng.range(0.75, 1.3);
        for side in [-1.0, 1.0] {
            let knee = side * (outer + gap) / 2.0;
            canvas.crease([side * hip * 0.5, crotch], [knee, bottom], 0.9, factor);
        }
    }
}

/// A shoe's ground: toe on the left at -13, heel on the right at 13, and how high the heel lifts the foot.
struct Sole {
    ground: f32,
    thickness: f32,
    heel: f32,
}

impl Sole {
    /// The height of the foot above the ground at this `x`.
    fn foot(&self, x: f32) -> f32 {
        let rise = ((x + 4.0) / 15.0).clamp(0.0, 1.0);
        self.ground - self.thickness - self.heel * rise
    }

    fn draw(&self, canvas: &mut Canvas, shade: f32) {
        let lift = self.heel;
        let under = self.ground - lift;
        canvas.fill(
            &[
                [-12.8, self.ground - 0.6],
                [-12.0, self.ground],
                [-4.0, self.ground],
                [7.0, under],
                [12.6, under],
                [12.8, self.foot(13.0)],
                [7.0, self.foot(8.0)],
                [-4.0, self.foot(-4.0)],
                [-12.8, self.foot(-12.0)],
            ],
            shade,
        );
    }

    /// The block or the pin under the heel.
    fn draw_heel(&self, canvas: &mut Canvas, width: f32, shade: f32) {
        canvas.fill(
            &[
                [12.6 - width - 0.8, self.ground - self.heel],
                [12.6, self.ground - self.heel],
                [12.4, self.ground],
                [12.4 - width, self.ground],
            ],
            shade,
        );
    }
}

fn sandal(canvas: &mut Canvas, rng: &mut SplitMix64) {
    let high = rng.chance(0.45);
    let sole = Sole {
        ground: rng.range(4.5, 9.0),
        thickness: rng.range(1.0, 2.4),
        heel: if high { rng.range(3.0, 8.5) } else { rng.range(0.0, 2.0) },
    };
    sole.draw(canvas, rng.range(0.6, 1.0));
    if sole.heel > 1.5 {
        sole.draw_heel(canvas, rng.range(0.9, 5.0), rng.range(0.6, 1.0));
    }
    // Straps over the toes: arches with air underneath.
    let straps = 1 + rng.below(3);
    for i in 0..straps {
        let x = -10.5 + 4.0 * i as f32 + rng.range(-0.8, 0.8);
        let height = rng.range(2.0, 4.5);
        let width = rng.range(0.9, 2.2);
        let shade = rng.range(0.7, 1.0);
        let peak = [x + 2.2, sole.foot(x + 2.0) - height];
        canvas.stroke([x, sole.foot(x) + 0.5], peak, width, shade);
        canvas.stroke(peak, [x + 4.6, sole.foot(x + 4.6) + 0.5], width, shade);
    }
    // Around the ankle.
    if rng.chance(0.75) {
        let y = sole.foot(11.0) - rng.range(3.5, 7.0);
        let width = rng.range(0.9, 1.8);
        canvas.stroke([12.0, sole.foot(12.0) + 0.5], [11.8, y], width + 0.4, 1.0);
        canvas.stroke([12.0, y], [rng.range(3.0, 6.0), y + rng.range(-0.6, 2.0)], width, 0.95);
        if rng.chance(0.6) {
            canvas.stroke([4.5, y + 0.6], [rng.range(-4.0, 2.0), sole.foot(-1.0) + 0.3], width, 0.9);
        }
    }
    // A closed back.
    if rng.chance(0.25) {
        let y = sole.foot(11.0) - rng.range(2.0, 4.5);
        canvas.fill(&[[7.0, sole.foot(7.0)], [9.5, y], [12.6, y], [12.8, sole.foot(12.8)]], rng.range(0.6, 1.0));
    }
}

fn sneaker(canvas: &mut Canvas, rng: &mut SplitMix64) {
    let sole = Sole { ground: rng.range(4.0, 8.0), thickness: rng.range(1.0, 2.2), heel: rng.range(0.0, 0.8) };
    let collar = rng.range(6.0, 9.2);
    let collar = if rng.chance(0.08) { collar + 3.0 } else { collar };
    let y = sole.ground - collar;
    let toe = rng.range(2.2, 3.6);
    let throat = rng.range(-2.5, 1.5);
    canvas.fill(
        &[
            [-12.8, sole.foot(-13.0) + 0.3],
            [-12.2, sole.ground - toe],
            [-8.5, sole.ground - toe - 1.0],
            [throat, y + rng.range(0.2, 1.2)],
            [throat + 2.4, y - 0.4],
            [throat + 5.0, y + rng.range(0.6, 2.0)],
            [11.0, y + rng.range(0.0, 1.4)],
            [12.8, y - 0.2],
            [12.4, sole.foot(13.0) + 0.3],
        ],
        1.0,
    );
    sole.draw(canvas, rng.range(0.45, 1.1));
    if rng.chance(0.7) {
        // Laces.
        let factor = rng.range(0.5, 1.4);
        for i in 0..3 {
            let x = throat - 1.0 - 2.0 * i as f32;
            let lace = y + 1.4 + 0.9 * i as f32;
            canvas.crease([x, lace], [x + 1.4, lace + 2.4], 0.8, factor);
        }
    }
    if rng.chance(0.6) {
        // The maker's stripe.
        let x = rng.range(-2.0, 5.0);
        let end = [x + rng.range(-4.0, 4.0), y + 2.0];
        canvas.crease([x, sole.foot(x)], end, rng.range(0.8, 2.4), rng.range(0.4, 1.4));
    }
}

fn ankle_boot(canvas: &mut Canvas, rng: &mut SplitMix64) {
    let high = rng.chance(0.35);
    let sole = Sole {
        ground: rng.range(9.0, 12.2),
        thickness: rng.range(0.8, 1.8),
        heel: if high { rng.range(2.5, 6.0) } else { rng.range(0.4, 1.8) },
    };
    let top = if rng.chance(0.1) { rng.range(-4.0, -1.0) } else { rng.range(-12.6, -6.0) };
    let front = rng.range(-2.0, 3.0);
    let toe = rng.range(2.4, 4.2);
    canvas.fill(
        &[
            [-12.8, sole.foot(-13.0) + 0.3],
            [-12.2, sole.ground - toe],
            [-7.5, sole.ground - toe - 1.6],
            [front - 1.0, sole.foot(front) - rng.range(4.5, 6.5)],
            [front, top],
            [12.2, top + rng.range(-0.8, 0.8)],
            [11.6, sole.foot(12.0) - 4.0],
            [12.8, sole.foot(13.0) + 0.3],
        ],
        1.0,
    );
    sole.draw(canvas, rng.range(0.5, 1.1));
    sole.draw_heel(canvas, rng.range(1.2, 5.5), rng.range(0.6, 1.1));
    if rng.chance(0.5) {
        // A zip or a seam down the side.
        let x = rng.range(4.0, 10.0);
        canvas.crease([x, top], [x + rng.range(-1.5, 1.5), sole.foot(x)], 0.8, rng.range(0.4, 0.9));
    }
    if rng.chance(0.4) {
        // A strap around the ankle.
        let y = sole.foot(6.0) - rng.range(4.0, 7.0);
        canvas.crease([front - 2.0, y + 1.0], [13.0, y], rng.range(0.8, 1.6), rng.range(0.4, 1.3));
    }
}

fn bag(canvas: &mut Canvas, rng: &mut SplitMix64) {
    let top = rng.range(-6.0, 0.0);
    let bottom = rng.range(6.5, 12.0);
    let upper = rng.range(6.5, 12.6);
    let lower = (upper + rng.range(-1.5, 2.6)).min(13.2);
    if rng.chance(0.85) {
        // The handle: an arch with air underneath, flat or high.
        let width = rng.range(3.0, 8.5).min(upper - 0.5);
        let height = rng.range(2.0, 8.5).min(top + 13.4);
        let thick = rng.range(0.9, 2.0);
        let bend = rng.range(0.4, 0.9) * width;
        let shade = rng.range(0.6, 1.0);
        let peak = top - height;
        canvas.stroke([-bend, peak], [bend, peak], thick, shade);
        for side in [-1.0, 1.0] {
            canvas.stroke([side * width, top + 0.6], [side * bend, peak], thick, shade);
        }
    }
    let bevel = rng.range(0.2, 1.6);
    canvas.fill(
        &[
            [-upper + bevel, top],
            [upper - bevel, top],
            [upper, top + bevel],
            [lower, bottom - bevel],
            [lower - bevel, bottom],
            [-lower + bevel, bottom],
            [-lower, bottom - bevel],
            [-upper, top + bevel],
        ],
        1.0,
    );
    if rng.chance(0.6) {
        // The flap, and its lock.
        let depth = top + rng.range(0.3, 0.7) * (bottom - top);
        canvas.tint(&[[-upper, top], [upper, top], [upper * 0.9, depth], [-upper * 0.9, depth]], rng.range(0.75, 1.2));
        canvas.crease([-upper, depth], [upper, depth], 0.8, rng.range(0.4, 0.8));
        canvas.crease([0.0, depth - 1.0], [0.0, depth + 1.0], 2.0, rng.range(0.4, 1.6));
    } else if rng.chance(0.5) {
        let y = top + 1.6;
        canvas.crease([-upper, y], [upper, y], 0.8, rng.range(0.4, 0.8));
    }
}

/// A contrasting band along the neck opening.
fn neckband(canvas: &mut Canvas, top: &Top, rng: &mut SplitMix64) {
    let [neck, depth] = top.neck;
    let factor = rng.range(0.55, 1.25);
    for side in [-1.0, 1.0] {
        canvas.crease([0.0, top.top + depth + 0.5], [side * (neck + 0.3), top.top + 0.5], 1.2, factor);
    }
}

/// A hood lying behind the neck.
fn hood(canvas: &mut Canvas, top: &Top, rng: &mut SplitMix64) {
    let half = top.neck[0] + rng.range(0.6, 1.6);
    canvas.fill(
        &[
            [-half, top.top + 2.2],
            [-half * 0.8, top.top - 0.8],
            [half * 0.8, top.top - 0.8],
            [half, top.top + 2.2],
            [0.0, top.top + 3.6],
        ],
        rng.range(0.5, 0.85),
    );
}

/// The point `share` of the way from one point to another; beyond it if the share is above 1.
fn towards(from: Point, to: Point, share: f32) -> Point {
    [from[0] + share * (to[0] - from[0]), from[1] + share * (to[1] - from[1])]
}
