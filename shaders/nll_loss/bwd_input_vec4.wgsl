// nll_loss.bwd_input.vec4: dx = -onehot(label) * dloss / n
//
// Idea versus naive: four neighbouring elements to an invocation, which moves them by 16-byte loads
// and stores and divides by the number of classes once. Accepts n * classes that is a multiple of
// 4.
// Writes: dx =.
// Dispatch: ceil(n * classes / 4 / WORKGROUP) workgroups; an invocation owns one vec4, which may
// span several samples.
// Shared memory: none. Barriers: none.

struct Params {
    n: u32,
    classes: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> dloss: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.n * params.classes / 4u {
        return;
    }
    let elements = i * 4u + vec4<u32>(0u, 1u, 2u, 3u);
    var r = elements.x / params.classes;
    var onehot = vec4<f32>();
    // The samples that begin before the last of the four elements.
    for (var first = r * params.classes; first <= elements.w; first += params.classes) {
        let label = labels[r];
        // Without the second test a label that is no class would hit a later sample.
        let hit = (elements == vec4<u32>(first + label)) & vec4<bool>(label < params.classes);
        onehot = select(onehot, vec4<f32>(1.0), hit);
        r += 1u;
    }
    dx[i] = select(vec4<f32>(), vec4<f32>(-dloss[0] / f32(params.n)), onehot > vec4<f32>());
}
