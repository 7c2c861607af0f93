// conv2d_weight_bias.bwd_weight.direct_vec2_split_k: dweight[kh,kw,ci,co] = sum over n,oh,ow of dy[n,oh,ow,co] * x[n,ih,iw,ci],
// dbias[co] = sum over n,oh,ow of dy[n,oh,ow,co]
//
// Idea versus direct_split_k: for channels in twos that are no fours. Lane i has lines 2i and 2i+1 of the
// kernel, which are neighbouring channels of one row of it and come in one load; two neighbouring dy
// come in one load, too. What travels between the lanes is dy: each is broadcast once and multiplied
// with x under every tap, where x would have to be broadcast once for each tap. The splits and the order
// within them are those of subgroup_split_k. Needs stride 1 and dilation 1 along the width, at most
// TAPS columns, and c_in and c_out to be multiples of 2.
// The bias gradient sums the dy that the product loads anyway, in the workgroups of the first lines alone.
// Writes: dweight =, dbias =.
// Dispatch: `partial` ceil(k_h*c_in / 16) * ceil(c_out / 16) workgroups of 8 in each of `splits`
// layers, a lane owns 2 lines x TAPS columns of the kernel, for 16 channels and one split; `reduce` one
// invocation per two weights, and behind them per two biases.
// Shared memory: none. Barriers: none. Needs subgroups of at least 8 lanes.

struct Params {
    n: u32,
    c_in: u32,
    h_in: u32,
    w_in: u32,
    c_out: u32,
    h_out: u32,
    w_out: u32,
    k_h: u32,
    k_w: u32,
    stride_h: u32,
    stride_w: u32,
    pad_h: u32,
    pad_w: u32,
    dilation_h: u32,
    dilation_w: u32,
    splits: u32,
}

override WORKGROUP: u32 = 64;

const LANES: u32 = 8;
const TAPS: u32 = 5;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> dy: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> dweight: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> dbias: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read_write> partials: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read_write> bias_partials: array<vec2<f32>>;

// One tap of a lane's two lines, for 16 channels.
alias Tap = array<vec2<f32>, 16>;

// acc += x dy: a lane has x of its own lines; all have the same 16 dy.
fn outer(acc: ptr<function, Tap>, a: vec2<f32>, b: array<f32, 16>) {
    (*acc)[0] += a * b[0];
    (*acc)[1] += a * b[1];
    (*acc)[2] += a * b[2];
    (*acc)[3] += a * b[3];
    (*acc)[4] += a * b[4];
    (*acc)[5] += a * b[5];
    (*acc)[6] += a * b[6];
    (*acc)[7] += a * b[7];
    (*acc)[8] += a * b[8];
    (*acc)[9] += a * b[9];
    (*acc)[10] += a * b[10];
    (*acc)[11] += a * b[11];
    (*acc)[12] += a * b[12];
    (*acc)[13] += a * b[13];
    (*acc)[14] += a * b[14];
    (*acc)[15] += a * b[15];
}

// Two channels of pixel iw of a line of x; outside of the image wraps to a huge number.
fn pixel(line: u32, iw: u32, ci2: u32, inside_h: bool) -> vec2<f32> {
    let inside = inside_h & (iw < params.w_in);
    return select(vec2<f32>(), x[select(0u, (line + iw) * (params.c_in / 2u) + ci2, inside)], inside);
}

// Rows row and row + 1, two columns.
fn store(at: u32, inside: bool, a: vec2<f32>, b: vec2<f32>) {
    if inside {
        partials[at] = vec2(a.x, b.x);
        partials[at + params.c_out / 2u] = vec2(a.y, b.y);
    }
}

// By constant indices: a loop that stays one would keep the accumulators in memory.
fn store_tap(split: u32, pair: u32, kw: u32, column2: u32, acc: Tap) {
    let pairs = params.c_in / 2u;
    if pair >= params.k_h * pairs || kw >= params.k_w {
        return;
    }
    let kh = pair / pairs;
    let row = ((split * params.k_h + kh) * params.k_w + kw) * params.c_in + 2u * (pair - kh * pairs);
    let columns2 = params.c_out / 2u;
    let at = row * columns2 + column2;
    store(at, true, acc[0], acc[1]);
    store(at + 1u, column2 + 1u < columns2, acc[2], acc[3]);
    store(at + 2u, column2 + 2u < columns2, acc[4], acc[5]);
    store(at + 3u, column2 + 3u < columns2, acc[6], acc[7]);
    store(at + 4u, column2 + 4u < columns2, acc[8], acc[9]);
    store(at + 5u, column2 + 5u < columns2, acc[10], acc[11]);
    store(at + 6u, column2 + 6u < columns2, acc[12], acc[13]);
    store(at + 7u, column2 + 7u < columns2, acc[14], acc[15]);
}

@compute @workgroup_size(LANES)
fn partial(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let pairs = params.c_in / 2u;
    let columns2 = params.c_out / 2u;
    let tiles_n = (columns2 + LANES - 1u) / LANES;
    let tile = group_index(group, groups);
    let first_pair = tile / tiles_n * LANES;
    let first_column2 = tile % tiles_n * LANES;
    if first_pair >= params.k_h * pairs {
        return;
    }
    // Columns past the end load the last ones and are not stored.
    let column2 = min(first_column2 + lane, columns2 - 1u);
    // The lines of the kernel whose x this lane loads; past the end it loads those of the last.
    let pair = min(first_pair + lane, params.k_h * pairs - 1u);
    let kh = pair / pairs;
    let ci2 = pair - kh * pairs;
    let first_h = kh * params.dilation_h - params.pad_h;
    var bias_sum = vec2<f32>();
    var acc0 = Tap();
    var acc1 = Tap();
    var acc2 = Tap();
    var acc3 = Tap();
    var acc4 = Tap();
    let lines = params.n * params.h_out;
    let per_split = (lines + params.splits - 1u) / params.splits;
    let end = min(lines, (group.z + 1u) * per_split);
    for (var line = group.z * per_split; line < end; line++) {
        let n = divide(line, params.h_out);
        let ih = first_h + (line - n * params.h_out) * params.stride_h;
        let inside_h = ih < params.h_in;
        let from_x = (n * params.h_in + ih) * params.w_in;
        var from_dy = line * params.w_out * columns2 + column2;
        // x under the taps at the output before the first; the last is not there yet.
        var iw = 0u - params.pad_w;
        var a0 = vec2<f32>();
        var a1 = pixel(from_x, iw, ci2, inside_h);
        var a2 = pixel(from_x, iw + 1u, ci2, inside_h);
        var a3 = pixel(from_x, iw + 2u, ci2, inside_h);
        var a4 = pixel(from_x, iw + 3u, ci2, inside_h);
        iw += 4u;
        for (var ow = 0u; ow < params.w_out; ow++) {
            a0 = a1;
            a1 = a2;
            a2 = a3;
            a3 = a4;
            a4 = pixel(from_x, iw, ci2, inside_h);
            let mine = dy[from_dy];
            bias_sum += mine;
            let b = array(
                subgroupBroadcast(mine.x, 0u),
                subgroupBroadcast(mine.y, 0u),
                subgroupBroadcast(mine.x, 1u),
                subgroupBroadcast(mine.y, 1u),
                subgroupBroadcast(mine.x, 2u),
                subgroupBroadcast(mine.y, 2u),
                subgroupBroadcast(mine.x, 3u),
                subgroupBroadcast(mine.y, 3u),
                subgroupBroadcast(mine.x, 4u),
                subgroupBroadcast(mine.y, 4u),
                subgroupBroadcast(mine.x, 5u),
                subgroupBroadcast(mine.y, 5u),
                subgroupBroadcast(mine.x, 6u),
                subgroupBroadcast(mine.y, 6u),
                subgroupBroadcast(mine.x, 7u),
                subgroupBroadcast(mine.y, 7u),
            );
            outer(&acc0, a0, b);
            outer(&acc1, a1, b);
            outer(&acc2, a2, b);
            outer(&acc3, a3, b);
            outer(&acc4, a4, b);
            from_dy += columns2;
            iw += 1u;
        }
    }
    if first_pair == 0u && first_column2 + lane < columns2 {
        bias_partials[group.z * columns2 + column2] = bias_sum;
    }
    store_tap(group.z, first_pair + lane, 0u, first_column2, acc0);
    store_tap(group.z, first_pair + lane, 1u, first_column2, acc1);
    store_tap(group.z, first_pair + lane, 2u, first_column2, acc2);
    store_tap(group.z, first_pair + lane, 3u, first_column2, acc3);
    store_tap(group.z, first_pair + lane, 4u, first_column2, acc4);
}

fn reduce_bias(column2: u32) {
    let columns2 = params.c_out / 2u;
    if column2 >= columns2 {
        return;
    }
    var sum = vec2<f32>();
    for (var split = 0u; split < params.splits; split++) {
        sum += bias_partials[split * columns2 + column2];
    }
    dbias[column2] = sum;
}

@compute @workgroup_size(WORKGROUP)
fn reduce(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    let len = params.k_h * params.k_w * params.c_in * (params.c_out / 2u);
    if i >= len {
        reduce_bias(i - len);
        return;
    }
    var sum = vec2<f32>();
    for (var split = 0u; split < params.splits; split++) {
        sum += partials[split * len + i];
    }
    dweight[i] = sum;
}
