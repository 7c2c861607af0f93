// gemm_subgroup_vec4.wgsl with twice the columns: 8192 multiply-adds to twelve loads of a vec4. The 64
// vec4 accumulators of a lane no longer fit its registers, but the loads saved are worth more than
// the spills; a tile of twice the rows, too, would take the driver seconds to compile.
//
// It runs on any adapter whose subgroups have at least 8 lanes; the lanes beyond 8 stay unused.

const LANES: u32 = 8;
const ROWS: u32 = 32;
// In vec4s.
const COLUMNS4: u32 = 16;

// Eight rows of C; a lane holds four columns of each, and the four columns 32 further on.
alias Rows8 = array<vec4<f32>, 16>;

// B for four values of k, in a lane's columns.
alias Slab = array<vec4<f32>, 8>;

// C += A B for eight rows and four k: lane i has A of row i, and B of its own columns.
fn outer_8x4(acc: ptr<function, Rows8>, a: vec4<f32>, b: Slab) {
    let a0 = subgroupBroadcast(a, 0u);
    (*acc)[0] = (*acc)[0] + a0.x * b[0] + a0.y * b[2] + a0.z * b[4] + a0.w * b[6];
    (*acc)[1] = (*acc)[1] + a0.x * b[1] + a0.y * b[3] + a0.z * b[5] + a0.w * b[7];
    let a1 = subgroupBroadcast(a, 1u);
    (*acc)[2] = (*acc)[2] + a1.x * b[0] + a1.y * b[2] + a1.z * b[4] + a1.w * b[6];
    (*acc)[3] = (*acc)[3] + a1.x * b[1] + a1.y * b[3] + a1.z * b[5] + a1.w * b[7];
    let a2 = subgroupBroadcast(a, 2u);
    (*acc)[4] = (*acc)[4] + a2.x * b[0] + a2.y * b[2] + a2.z * b[4] + a2.w * b[6];
    (*acc)[5] = (*acc)[5] + a2.x * b[1] + a2.y * b[3] + a2.z * b[5] + a2.w * b[7];
    let a3 = subgroupBroadcast(a, 3u);
    (*acc)[6] = (*acc)[6] + a3.x * b[0] + a3.y * b[2] + a3.z * b[4] + a3.w * b[6];
    (*acc)[7] = (*acc)[7] + a3.x * b[1] + a3.y * b[3] + a3.z * b[5] + a3.w * b[7];
    let a4 = subgroupBroadcast(a, 4u);
    (*acc)[8] = (*acc)[8] + a4.x * b[0] + a4.y * b[2] + a4.z * b[4] + a4.w * b[6];
    (*acc)[9] = (*acc)[9] + a4.x * b[1] + a4.y * b[3] + a4.z * b[5] + a4.w * b[7];
    let a5 = subgroupBroadcast(a, 5u);
    (*acc)[10] = (*acc)[10] + a5.x * b[0] + a5.y * b[2] + a5.z * b[4] + a5.w * b[6];
    (*acc)[11] = (*acc)[11] + a5.x * b[1] + a5.y * b[3] + a5.z * b[5] + a5.w * b[7];
    let a6 = subgroupBroadcast(a, 6u);
    (*acc)[12] = (*acc)[12] + a6.x * b[0] + a6.y * b[2] + a6.z * b[4] + a6.w * b[6];
    (*acc)[13] = (*acc)[13] + a6.x * b[1] + a6.y * b[3] + a6.z * b[5] + a6.w * b[7];
    let a7 = subgroupBroadcast(a, 7u);
    (*acc)[14] = (*acc)[14] + a7.x * b[0] + a7.y * b[2] + a7.z * b[4] + a7.w * b[6];
    (*acc)[15] = (*acc)[15] + a7.x * b[1] + a7.y * b[3] + a7.z * b[5] + a7.w * b[7];
}

// C += A B for eight rows and one k, given A of the first and of the last four rows.
fn outer_4_4(acc: ptr<function, Rows8>, first: vec4<f32>, last: vec4<f32>, b: array<vec4<f32>, 2>) {
    (*acc)[0] += first.x * b[0];
    (*acc)[1] += first.x * b[1];
    (*acc)[2] += first.y * b[0];
    (*acc)[3] += first.y * b[1];
    (*acc)[4] += first.z * b[0];
    (*acc)[5] += first.z * b[1];
    (*acc)[6] += first.w * b[0];
    (*acc)[7] += first.w * b[1];
    (*acc)[8] += last.x * b[0];
    (*acc)[9] += last.x * b[1];
    (*acc)[10] += last.y * b[0];
    (*acc)[11] += last.y * b[1];
    (*acc)[12] += last.z * b[0];
    (*acc)[13] += last.z * b[1];
    (*acc)[14] += last.w * b[0];
    (*acc)[15] += last.w * b[1];
}
