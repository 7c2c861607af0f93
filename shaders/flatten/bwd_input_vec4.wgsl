// flatten.bwd_input.vec4: dx[n, h, w, c] = dy[n, c, h, w] as both lie in memory
//
// Idea versus naive: four channels of a pixel to an invocation, neighbours in dx, so that a place is worked out once for four
// elements. Neighbouring invocations are neighbouring pixels, whose reads are neighbours. Accepts channels in fours.
// Writes: dx =.
// Dispatch: ceil(n*c/4*h*w / WORKGROUP) workgroups; an invocation owns four elements of dx.
// Shared memory: none. Barriers: none.

struct Params {
    n: u32,
    c: u32,
    // h*w
    plane: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<vec4<f32>>;

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
    // ... in four planes of [n, c, plane] to one place of [n, plane, c].
    let from_dy = (n * params.c + 4u * four) * params.plane + pixel;
    let plane = params.plane;
    let four_dy = vec4(dy[from_dy], dy[from_dy + plane], dy[from_dy + 2u * plane], dy[from_dy + 3u * plane]);
    dx[(n * plane + pixel) * fours + four] = four_dy;
}
