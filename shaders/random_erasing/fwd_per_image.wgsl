// random_erasing.fwd.per_image: y = value inside of a rectangle drawn for each image, x outside
//
// Idea versus naive: the rectangle of an image is drawn once, by a dispatch of its own, and not for
// each of its pixels.
// Writes: y =; scratch rectangles =.
// Dispatch: draw: ceil(n / WORKGROUP) workgroups, an invocation owns one image; main:
// ceil(n*c*h*w / WORKGROUP) workgroups, an invocation owns one element.
// Shared memory: none. Barriers: none.

struct Params {
    n: u32,
    c: u32,
    h: u32,
    w: u32,
    chance: u32,
    area: f32,
    area_span: f32,
    aspect: f32,
    aspect_span: f32,
    value: f32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> counter: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> rectangles: array<vec4<u32>>;

fn rectangle_of(n: u32) -> vec4<u32> {
    let erasing = Erasing(params.chance, params.area, params.area_span, params.aspect, params.aspect_span);
    return draw_rectangle(
        n, counter[0], vec2<u32>(counter[2], counter[3]), vec2<u32>(params.h, params.w), erasing);
}

// Element i of y, which is NHWC, by the rectangle of its image.
fn erased(i: u32, n: u32, rectangle: vec4<u32>) -> f32 {
    let place = i / params.c - n * params.h * params.w;
    let row = place / params.w;
    let column = place - row * params.w;
    // Before the rectangle the difference wraps round, far past any size.
    let inside = row - rectangle.x < rectangle.z && column - rectangle.y < rectangle.w;
    return select(x[i], params.value, inside);
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
    rectangles[i] = rectangle_of(i);
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
    y[i] = erased(i, n, rectangles[n]);
}
