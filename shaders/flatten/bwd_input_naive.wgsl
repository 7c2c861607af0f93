// flatten.bwd_input.naive: dx[n, h, w, c] = dy[n, c, h, w] as both lie in memory
//
// Idea: the baseline, one invocation per output element; the writes of neighbours are neighbours, the
// reads lie h*w apart.
// Writes: dx =.
// Dispatch: ceil(n*c*h*w / WORKGROUP) workgroups; an invocation owns one element of dx.
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
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;

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
    // From [n, plane, c] ...
    let row = i / params.c;
    let c = i - row * params.c;
    let n = row / params.plane;
    let pixel = row - n * params.plane;
    // ... to [n, c, plane].
    dx[i] = dy[(n * params.c + c) * params.plane + pixel];
}
