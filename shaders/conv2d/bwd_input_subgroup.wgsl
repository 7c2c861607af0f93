// conv2d.bwd_input.subgroup: dx[n,ih,iw,ci] = sum over kh,kw,co of dy[n,oh,ow,co] * weight[kh,kw,ci,co]
//
// Idea versus tiled: the same implicit matrix product without workgroup memory and barriers, for
// software adapters (shared/gemm_subgroup.wgsl). A lane finds the outputs that read its four input
// pixels once for each kernel element, then walks the output channels, which are neighbours in
// memory.
// Writes: dx =.
// Dispatch: ceil(n*h_in*w_in / 32) * ceil(c_in / 16) workgroups of 8; a lane owns 32 x 2 inputs.
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

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

fn divide4(a: vec4<u32>, b: u32) -> vec4<u32> {
    return vec4(divide(a.x, b), divide(a.y, b), divide(a.z, b), divide(a.w, b));
}

fn store(row: u32, column: vec2<u32>, value: vec2<f32>) {
    let columns = params.c_in;
    if row >= params.n * params.h_in * params.w_in {
        return;
    }
    if column.x < columns {
        dx[row * columns + column.x] = value.x;
    }
    if column.y < columns {
        dx[row * columns + column.y] = value.y;
    }
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let rows = params.n * params.h_in * params.w_in;
    let columns = params.c_in;
    let tiles_n = (columns + COLUMNS - 1u) / COLUMNS;
    let tile = group_index(group, groups);
    let first_row = tile / tiles_n * ROWS;
    let first_column = tile % tiles_n * COLUMNS;
    if first_row >= rows {
        return;
    }
    // A column past the end loads the last one and is not stored.
    let column = first_column + vec2(lane, lane + LANES);
    let safe_column = min(column, vec2(columns - 1u));
    // The four pixels whose dy this lane loads; past the end it loads those of the last.
    let row = min(first_row + lane + vec4(0u, 8u, 16u, 24u), vec4(rows - 1u));
    let line = divide4(row, params.w_in);
    let n = divide4(line, params.h_in);
    let last_h = line - n * params.h_in + params.pad_h;
    let last_w = row - line * params.w_in + params.pad_w;
    let image = n * params.h_out;
    var acc0 = Rows8();
    var acc1 = Rows8();
    var acc2 = Rows8();
    var acc3 = Rows8();
    for (var kh = 0u; kh < params.k_h; kh++) {
        // Clamped at 0 before the division, which takes no negative number.
        let offset_h = kh * params.dilation_h;
        let from_h = max(last_h, vec4(offset_h)) - offset_h;
        let oh = divide4(from_h, params.stride_h);
        let inside_h = (last_h >= vec4(offset_h)) & (oh < vec4(params.h_out)) & (oh * params.stride_h == from_h);
        for (var kw = 0u; kw < params.k_w; kw++) {
            let offset_w = kw * params.dilation_w;
            let from_w = max(last_w, vec4(offset_w)) - offset_w;
            let ow = divide4(from_w, params.stride_w);
            let inside = inside_h & (last_w >= vec4(offset_w)) & (ow < vec4(params.w_out)) & (ow * params.stride_w == from_w);
            let from_dy = select(vec4<u32>(), ((image + oh) * params.w_out + ow) * params.c_out, inside);
            let from_weight = ((kh * params.k_w + kw) * params.c_in + safe_column) * params.c_out;
            for (var co = 0u; co < params.c_out; co++) {
                let at = from_dy + co;
                let a = select(vec4<f32>(), vec4(dy[at.x], dy[at.y], dy[at.z], dy[at.w]), inside);
                let b = vec2(weight[from_weight.x + co], weight[from_weight.y + co]);
                outer_8(&acc0, a.x, b);
                outer_8(&acc1, a.y, b);
                outer_8(&acc2, a.z, b);
                outer_8(&acc3, a.w, b);
            }
        }
    }
    for (var r = 0u; r < 8u; r++) {
        store(first_row + r, column, acc0[r]);
        store(first_row + 8u + r, column, acc1[r]);
        store(first_row + 16u + r, column, acc2[r]);
        store(first_row + 24u + r, column, acc3[r]);
    }
}
