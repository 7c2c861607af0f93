// affine_augment.fwd.per_image: y(p, q) = x at M * (p, q), bilinear, M drawn for each image
//
// Idea versus naive: the matrix of an image is drawn once, by a dispatch of its own, and not for each
// of its pixels.
// Writes: y =; scratch matrices =.
// Dispatch: draw: ceil(n / WORKGROUP) workgroups, an invocation owns one image; main:
// ceil(n*c*h*w / WORKGROUP) workgroups, an invocation owns one element.
// Shared memory: none. Barriers: none.

struct Params {
    n: u32,
    c: u32,
    h: u32,
    w: u32,
    rotation: f32,
    shift_h: f32,
    shift_w: f32,
    shear: f32,
    zoom: f32,
    flips: u32,
    // 0: the nearest pixel, 1: value
    constant: u32,
    value: f32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> counter: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
// Two rows of four for each image, of which the last is not used.
@group(0) @binding(4) var<storage, read_write> matrices: array<vec4<f32>>;

// Channel c of image n at a pixel, which may lie outside.
fn pixel(n: u32, c: u32, row: i32, col: i32) -> f32 {
    let inside_row = clamp(row, 0, i32(params.h) - 1);
    let inside_col = clamp(col, 0, i32(params.w) - 1);
    let at = ((n * params.h + u32(inside_row)) * params.w + u32(inside_col)) * params.c + c;
    let outside = inside_row != row || inside_col != col;
    return select(x[at], params.value, outside && params.constant == 1u);
}

// Element i of y, which is NHWC, by the matrix of its image.
fn augmented(i: u32, n: u32, affine: Affine) -> f32 {
    let c = i % params.c;
    let place = i / params.c - n * params.h * params.w;
    let p = place / params.w;
    let q = place - p * params.w;
    let centre = vec2<f32>(0.5 * f32(params.h - 1u), 0.5 * f32(params.w - 1u));
    let v = vec3<f32>(f32(p) - centre.x, f32(q) - centre.y, 1.0);
    let source = centre + vec2<f32>(dot(affine.row, v), dot(affine.col, v));
    let corner = floor(source);
    let share = source - corner;
    let row = i32(corner.x);
    let col = i32(corner.y);
    let upper = mix_or_first(pixel(n, c, row, col), pixel(n, c, row, col + 1), share.y);
    let lower = mix_or_first(pixel(n, c, row + 1, col), pixel(n, c, row + 1, col + 1), share.y);
    return mix_or_first(upper, lower, share.x);
}

fn affine_of(n: u32) -> Affine {
    let ranges = AffineRanges(
        params.rotation, params.shift_h, params.shift_w, params.shear, params.zoom, params.flips);
    return draw_affine(n, counter[0], vec2<u32>(counter[2], counter[3]), ranges);
}

@compute @workgroup_size(WORKGROUP)
fn draw(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.n {
        return;
    }
    let affine = affine_of(i);
    matrices[2u * i] = vec4<f32>(affine.row, 0.0);
    matrices[2u * i + 1u] = vec4<f32>(affine.col, 0.0);
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.n * params.c * params.h * params.w {
        return;
    }
    let n = i / (params.c * params.h * params.w);
    y[i] = augmented(i, n, Affine(matrices[2u * n].xyz, matrices[2u * n + 1u].xyz));
}
