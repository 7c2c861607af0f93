// relu.bwd_input.naive: dx = dy where y > 0, else 0
//
// Idea: the baseline, one invocation per element. y > 0 exactly where x > 0, so the forward pass
// saves nothing else.
// Writes: dx =.
// Dispatch: ceil(len / WORKGROUP) workgroups; an invocation owns one element.
// Shared memory: none. Barriers: none.

struct Params {
    len: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.len {
        return;
    }
    dx[i] = select(0.0, dy[i], y[i] > 0.0);
}
