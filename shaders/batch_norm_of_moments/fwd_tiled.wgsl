// batch_norm_of_moments.fwd.tiled: y = (x - mean) * rstd * weight + bias, rstd = 1/sqrt(var + eps),
// clipped at 0 if relu; mean and var are those of all moments together
//
// Idea versus vec4: as batch_norm.fwd.tiled without its first stage: a whole workgroup merges the moments
// of LANES * 4 channels, as a tree in workgroup memory. Accepts channels that are a multiple of 4.
// Writes: mean, rstd, y =; running_mean, running_var changed in place.
// Dispatch: merge: ceil(c / 4 / LANES) workgroups; normalise: ceil(ceil(rows / ROWS) * c / 4 /
// WORKGROUP) workgroups.
// Shared memory: 36 * WORKGROUP bytes. Barriers: log2(WORKGROUP / LANES) in merge, one before each
// level of the tree.

struct Params {
    // Values per channel, n * h * w: the rows of x seen as a matrix of c columns.
    rows: u32,
    c: u32,
    // Chunks of 32 rows; the last may have fewer.
    chunks: u32,
    eps: f32,
    momentum: f32,
    // 1 if y is clipped.
    relu: u32,
}

const CHUNK_ROWS: u32 = 32;

override WORKGROUP: u32 = 64;
override ROWS: u32 = 4;
// Neighbouring groups of four channels to a workgroup; a power of 2, as is WORKGROUP.
override LANES: u32 = 8;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
// [chunk][mean, M2][c / 4]
@group(0) @binding(2) var<storage, read> moments: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> running_mean: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> running_var: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> mean: array<vec4<f32>>;
@group(0) @binding(9) var<storage, read_write> rstd: array<vec4<f32>>;

var<workgroup> counts: array<f32, WORKGROUP>;
var<workgroup> means: array<vec4<f32>, WORKGROUP>;
var<workgroup> m2s: array<vec4<f32>, WORKGROUP>;

// Merges what the invocations of the same channels hold. The result is right for lane < LANES.
fn merge_rows(lane: u32, mine: Moments4) -> Moments4 {
    var all = mine;
    counts[lane] = all.count;
    means[lane] = all.mean;
    m2s[lane] = all.m2;
    for (var half = WORKGROUP / 2u; half >= LANES; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            let other = lane + half;
            all = merge_moments4(all, Moments4(counts[other], means[other], m2s[other]));
            counts[lane] = all.count;
            means[lane] = all.mean;
            m2s[lane] = all.m2;
        }
    }
    return all;
}

@compute @workgroup_size(WORKGROUP)
fn merge(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let quads = params.c / 4u;
    let q = group_index(group, groups) * LANES + lane % LANES;
    var mine = Moments4(0.0, vec4<f32>(), vec4<f32>());
    if q < quads {
        for (var chunk = lane / LANES; chunk < params.chunks; chunk += WORKGROUP / LANES) {
            let count = min(CHUNK_ROWS, params.rows - chunk * CHUNK_ROWS);
            let at = chunk * 2u * quads + q;
            mine = merge_moments4(mine, Moments4(f32(count), moments[at], moments[at + quads]));
        }
    }
    let batch = merge_rows(lane, mine);
    if lane < LANES && q < quads {
        mean[q] = batch.mean;
        rstd[q] = inverseSqrt(batch.m2 / f32(params.rows) + params.eps);
        let old = 1.0 - params.momentum;
        running_mean[q] = old * running_mean[q] + params.momentum * batch.mean;
        // The running variance is the unbiased one.
        running_var[q] = old * running_var[q] + params.momentum * (batch.m2 / f32(params.rows - 1u));
    }
}

@compute @workgroup_size(WORKGROUP)
fn normalise(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let quads = params.c / 4u;
    // Invocations in use, a multiple of the channels: elements this far apart share theirs.
    let stride = (params.rows + ROWS - 1u) / ROWS * quads;
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= stride {
        return;
    }
    let q = i % quads;
    let center = mean[q];
    let scale = rstd[q] * weight[q];
    let shift = bias[q];
    let clips = vec4<bool>(params.relu != 0u);
    for (var at = i; at < params.rows * quads; at += stride) {
        let v = (x[at] - center) * scale + shift;
        // Not max(): it may turn a NaN into 0, and divergence must be seen.
        y[at] = select(v, vec4<f32>(), (v < vec4<f32>()) & clips);
    }
}
