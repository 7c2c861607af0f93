// flatten.fwd.naive: y[n, c, h, w] = x[n, h, w, c] as both lie in memory
//
// Idea: the baseline, one invocation per output element; the writes of neighbours are neighbours, the
// reads lie c apart.
// Writes: y =.
// Dispatch: ceil(n*c*h*w / WORKGROUP) workgroups; an invocation owns one element of y.
// Shared memory: none. Barriers: none.

struct Params {
    n: u32,
    c: u32,
    // h*w
    plane: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.n * params.c * params.plane {
        return;
    }
    // From [n, c, plane] ...
    let row = i / params.plane;
    let pixel = i - row * params.plane;
    let n = row / params.c;
    let c = row - n * params.c;
    // ... to [n, plane, c].
    y[i] = x[(n * params.plane + pixel) * params.c + c];
}
