// A subgroup's tile of a matrix product C[M, N] += A[M, K] B[K, N] in vec4s, for software adapters.
//
// As in gemm_subgroup.wgsl a load is what costs, and a vec4 costs as much as two or three single
// words. So A comes as vec4s along k, B as vec4s along the columns: four values of k take four loads
// of A and four of B for 32 rows and 32 columns, which is 4096 multiply-adds to eight loads. A row's
// accumulators stay in registers for all four k, in the order of k.
//
// It runs on any adapter whose subgroups have at least 8 lanes; the lanes beyond 8 stay unused.

const LANES: u32 = 8;
const ROWS: u32 = 32;
// In vec4s.
const COLUMNS4: u32 = 8;

// Eight rows of C; a lane holds its four columns of each.
alias Rows8 = array<vec4<f32>, 8>;

// B for four values of k, in a lane's columns.
alias Slab = array<vec4<f32>, 4>;

// C += A B for eight rows and four k: lane i has A of row i, and B of its own columns.
fn outer_8x4(acc: ptr<function, Rows8>, a: vec4<f32>, b: Slab) {
    let a0 = subgroupBroadcast(a, 0u);
    (*acc)[0] = (*acc)[0] + a0.x * b[0] + a0.y * b[1] + a0.z * b[2] + a0.w * b[3];
    let a1 = subgroupBroadcast(a, 1u);
    (*acc)[1] = (*acc)[1] + a1.x * b[0] + a1.y * b[1] + a1.z * b[2] + a1.w * b[3];
    let a2 = subgroupBroadcast(a, 2u);
    (*acc)[2] = (*acc)[2] + a2.x * b[0] + a2.y * b[1] + a2.z * b[2] + a2.w * b[3];
    let a3 = subgroupBroadcast(a, 3u);
    (*acc)[3] = (*acc)[3] + a3.x * b[0] + a3.y * b[1] + a3.z * b[2] + a3.w * b[3];
    let a4 = subgroupBroadcast(a, 4u);
    (*acc)[4] = (*acc)[4] + a4.x * b[0] + a4.y * b[1] + a4.z * b[2] + a4.w * b[3];
    let a5 = subgroupBroadcast(a, 5u);
    (*acc)[5] = (*acc)[5] + a5.x * b[0] + a5.y * b[1] + a5.z * b[2] + a5.w * b[3];
    let a6 = subgroupBroadcast(a, 6u);
    (*acc)[6] = (*acc)[6] + a6.x * b[0] + a6.y * b[1] + a6.z * b[2] + a6.w * b[3];
    let a7 = subgroupBroadcast(a, 7u);
    (*acc)[7] = (*acc)[7] + a7.x * b[0] + a7.y * b[1] + a7.z * b[2] + a7.w * b[3];
}

// C += A B for eight rows and one k, given A of the first and of the last four rows.
fn outer_4_4(acc: ptr<function, Rows8>, first: vec4<f32>, last: vec4<f32>, b: vec4<f32>) {
    (*acc)[0] += first.x * b;
    (*acc)[1] += first.y * b;
    (*acc)[2] += first.z * b;
    (*acc)[3] += first.w * b;
    (*acc)[4] += last.x * b;
    (*acc)[5] += last.y * b;
    (*acc)[6] += last.z * b;
    (*acc)[7] += last.w * b;
}
