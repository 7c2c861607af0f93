// What `affine_augment` draws for an image, as one matrix. Needs philox.wgsl and trigonometry.wgsl.

struct AffineRanges {
    // Radians
    rotation: f32,
    // Pixels
    shift_h: f32,
    shift_w: f32,
    // Radians
    shear: f32,
    zoom: f32,
    // Bit 0: horizontally, bit 1: vertically
    flips: u32,
}

// The pixel at (p, q) from the centre comes from (dot(row, (p, q, 1)), dot(col, (p, q, 1))) from it.
struct Affine {
    row: vec3<f32>,
    col: vec3<f32>,
}

// In [-1, 1).
fn signed_unit(word: u32) -> f32 {
    return f32(word >> 8u) * (1.0 / 8388608.0) - 1.0;
}

// cos(a) for |a| <= pi, as 1 - 2 sin(a/2)^2: exactly 1 at 0, so that no rotation is none.
fn cosine_from_half(a: f32) -> f32 {
    let s = sine_of_quarter(0.5 * a);
    return 1.0 - 2.0 * s * s;
}

fn draw_affine(image: u32, step: u32, seed: vec2<u32>, ranges: AffineRanges) -> Affine {
    let a = philox4x32(vec4<u32>(image, 0u, step, 1u), seed);
    let b = philox4x32(vec4<u32>(image, 1u, step, 1u), seed);
    let angle = ranges.rotation * signed_unit(a.x);
    let shift = vec2<f32>(ranges.shift_h * signed_unit(a.y), ranges.shift_w * signed_unit(a.z));
    let shear = ranges.shear * signed_unit(a.w);
    var zoom = vec2<f32>(1.0 + ranges.zoom * signed_unit(b.x), 1.0 + ranges.zoom * signed_unit(b.y));
    if (ranges.flips & 1u) != 0u && b.z >= 0x80000000u {
        zoom.y = -zoom.y;
    }
    if (ranges.flips & 2u) != 0u && b.w >= 0x80000000u {
        zoom.x = -zoom.x;
    }
    // Flip, zoom and shear: (p, q) to (zoom.x * p + across * q, along * q).
    let across = -sine(shear) * zoom.y;
    let along = cosine_from_half(shear) * zoom.y;
    let s = sine(angle);
    let c = cosine_from_half(angle);
    return Affine(
        vec3<f32>(c * zoom.x, c * across - s * along, c * shift.x - s * shift.y),
        vec3<f32>(s * zoom.x, s * across + c * along, s * shift.x + c * shift.y),
    );
}

// a and b mixed; a itself at 0, whatever b is.
fn mix_or_first(a: f32, b: f32, share: f32) -> f32 {
    return select(a + share * (b - a), a, share == 0.0);
}
