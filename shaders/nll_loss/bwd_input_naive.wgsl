// nll_loss.bwd_input.naive: dx = -onehot(label) * dloss / n
//
// Idea: the baseline, one invocation per element. A label that is no class matches none.
// Writes: dx =.
// Dispatch: ceil(n * classes / WORKGROUP) workgroups; an invocation owns one element.
// Shared memory: none. Barriers: none.

struct Params {
    n: u32,
    classes: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> dloss: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.n * params.classes {
        return;
    }
    let r = i / params.classes;
    let k = i - r * params.classes;
    dx[i] = select(0.0, -dloss[0] / f32(params.n), labels[r] == k);
}
