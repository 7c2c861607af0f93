// flatten.fwd.vec4: y[n, c, h, w] = x[n, h, w, c] as both lie in memory
//
// Idea versus naive: four channels of a pixel to an invocation, neighbours in x, so that a place is worked out once for four
// elements. Neighbouring invocations are neighbouring pixels, whose writes are neighbours. Accepts channels in fours.
// Writes: y =.
// Dispatch: ceil(n*c/4*h*w / WORKGROUP) workgroups; an invocation owns four elements of y.
// Shared memory: none. Barriers: none.

struct Params {
    n: u32,
    c: u32,
    // h*w
    plane: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    let fours = params.c / 4u;
    if i >= params.n * fours * params.plane {
        return;
    }
    // From [n, c / 4, plane] ...
    let row = divide(i, params.plane);
    let pixel = i - row * params.plane;
    let n = divide(row, fours);
    let four = row - n * fours;
    let from_x = x[(n * params.plane + pixel) * fours + four];
    // ... to four planes of [n, c, plane].
    let to_y = (n * params.c + 4u * four) * params.plane + pixel;
    y[to_y] = from_x.x;
    y[to_y + params.plane] = from_x.y;
    y[to_y + 2u * params.plane] = from_x.z;
    y[to_y + 3u * params.plane] = from_x.w;
}
