// dense_softmax_cross_entropy.fwd.subgroup: y = bias + x weight, loss = mean of log(sum exp(y - max)) -
// sum target*(y - max), dlogits = (softmax(y) - target) * dloss / n
//
// Idea versus single_group: for software adapters, one subgroup, to which barriers are next to
// nothing, and the logits by tiles of the matrix product (shared/gemm_subgroup.wgsl), one after the
// other. Losses and hits are added up in the same order. Accepts the same heads.
// target = (1 - smoothing) * onehot(label) + smoothing / classes.
// Writes: loss, metrics, dlogits =.
// Dispatch: one workgroup of 8; a lane owns two of 16 classes in 32 rows of each tile, then every
// eighth sample.
// Shared memory: 8 * SUMS bytes. Barriers: one before the samples, log2(SUMS), one before each level of
// the tree. SUMS is a power of 2 from 8 on. Needs subgroups of at least 8 lanes.

struct Params {
    n: u32,
    features_in: u32,
    classes: u32,
    smoothing: f32,
}

// Sums of losses and hits that the tree begins with.
const SUMS: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> labels: array<u32>;
@group(0) @binding(5) var<storage, read> dloss: array<f32>;
@group(0) @binding(6) var<storage, read_write> loss: array<f32>;
@group(0) @binding(7) var<storage, read_write> metrics: array<f32>;
// Holds the logits until their gradient takes their place.
@group(0) @binding(8) var<storage, read_write> dlogits: array<f32>;

var<workgroup> totals: array<vec2<f32>, SUMS>;

fn store(row: u32, column: vec2<u32>, value: vec2<f32>) {
    let columns = params.classes;
    if row >= params.n {
        return;
    }
    if column.x < columns {
        dlogits[row * columns + column.x] = value.x + bias[column.x];
    }
    if column.y < columns {
        dlogits[row * columns + column.y] = value.y + bias[column.y];
    }
}

fn logits(lane: u32, first_row: u32, first_column: u32) {
    let columns = params.classes;
    // A column past the end loads the last one and is not stored.
    let column = first_column + vec2(lane, lane + LANES);
    let safe_column = min(column, vec2(columns - 1u));
    // The four rows this lane loads; past the end it loads the last.
    let row = min(first_row + lane + vec4(0u, 8u, 16u, 24u), vec4(params.n - 1u));
    var acc0 = Rows8();
    var acc1 = Rows8();
    var acc2 = Rows8();
    var acc3 = Rows8();
    let from_x = row * params.features_in;
    for (var i = 0u; i < params.features_in; i++) {
        let at = from_x + i;
        let a = vec4(x[at.x], x[at.y], x[at.z], x[at.w]);
        let b = vec2(weight[i * columns + safe_column.x], weight[i * columns + safe_column.y]);
        outer_8(&acc0, a.x, b);
        outer_8(&acc1, a.y, b);
        outer_8(&acc2, a.z, b);
        outer_8(&acc3, a.w, b);
    }
    for (var r = 0u; r < 8u; r++) {
        store(first_row + r, column, acc0[r]);
        store(first_row + 8u + r, column, acc1[r]);
        store(first_row + 16u + r, column, acc2[r]);
        store(first_row + 24u + r, column, acc3[r]);
    }
}

// Replaces the logits of row r by their gradient and returns the row's loss, and 1 if its first
// largest logit is the label, else 0.
fn softmax_row(r: u32) -> vec2<f32> {
    let first = r * params.classes;
    let label = labels[r];
    // Comparisons, not max(): a NaN they pass over still reaches the sum.
    var top = dlogits[first];
    var largest = 0u;
    for (var k = 1u; k < params.classes; k++) {
        let v = dlogits[first + k];
        if v > top {
            top = v;
            largest = k;
        }
    }
    // A label that is no class matches none.
    let is_class = label < params.classes;
    var wanted = dlogits[first + select(0u, label, is_class)] - top;
    if params.smoothing > 0.0 {
        var all = 0.0;
        for (var k = 0u; k < params.classes; k++) {
            all += dlogits[first + k] - top;
        }
        wanted += params.smoothing * (all / f32(params.classes) - wanted);
    }
    var sum = 0.0;
    for (var k = 0u; k < params.classes; k++) {
        let e = exp(dlogits[first + k] - top);
        // Here until the sum is known.
        dlogits[first + k] = e;
        sum += e;
    }
    let scale = dloss[0] / f32(params.n);
    for (var k = 0u; k < params.classes; k++) {
        let onehot = select(0.0, 1.0, k == label);
        let target_k = (1.0 - params.smoothing) * onehot + params.smoothing / f32(params.classes);
        dlogits[first + k] = (dlogits[first + k] / sum - target_k) * scale;
    }
    if !is_class {
        // Any bits below these leave it a NaN; a constant NaN would be refused by the compiler.
        return vec2<f32>(bitcast<f32>(0x7fc00000u | label), 0.0);
    }
    return vec2<f32>(log(sum) - wanted, select(0.0, 1.0, largest == label));
}

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
    for (var row = 0u; row < params.n; row += ROWS) {
        for (var column = 0u; column < params.classes; column += COLUMNS) {
            logits(lane, row, column);
        }
    }
    storageBarrier();
    for (var i = lane; i < SUMS; i += LANES) {
        var mine = vec2<f32>();
        for (var r = i; r < params.n; r += SUMS) {
            mine += softmax_row(r);
        }
        totals[i] = mine;
    }
    for (var half = SUMS / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        for (var i = lane; i < half; i += LANES) {
            totals[i] += totals[i + half];
        }
    }
    if lane == 0u {
        let total = totals[0];
        metrics[0] = total.x;
        metrics[1] = total.y;
        loss[0] = total.x / f32(params.n);
    }
}
