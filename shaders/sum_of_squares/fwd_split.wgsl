// sum_of_squares.fwd.split: sum = sum of x^2
//
// Idea versus naive: PARTS invocations each add up every PARTS-th square, neighbours reading
// neighbouring addresses; then one workgroup adds up the parts as a tree. The order depends on the
// length alone.
// Writes: sum =; scratch parts =.
// Dispatch: split: ceil(PARTS / WORKGROUP) workgroups, an invocation owns one part; total: one
// workgroup, an invocation owns every WORKGROUP-th part.
// Shared memory: 4 * WORKGROUP bytes. Barriers: log2(WORKGROUP), one before each level of the tree.
// WORKGROUP is a power of 2.

struct Params {
    len: u32,
}

override WORKGROUP: u32 = 64;
override PARTS: u32 = 2048;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> sum: array<f32>;
@group(0) @binding(3) var<storage, read_write> parts: array<f32>;

var<workgroup> totals: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn split(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let part = group_index(group, groups) * WORKGROUP + lane;
    if part >= PARTS {
        return;
    }
    var mine = 0.0;
    for (var i = part; i < params.len; i += PARTS) {
        mine += x[i] * x[i];
    }
    parts[part] = mine;
}

@compute @workgroup_size(WORKGROUP)
fn total(@builtin(local_invocation_index) lane: u32) {
    var mine = 0.0;
    for (var part = lane; part < PARTS; part += WORKGROUP) {
        mine += parts[part];
    }
    totals[lane] = mine;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            totals[lane] += totals[lane + half];
        }
    }
    if lane == 0u {
        sum[0] = totals[0];
    }
}
