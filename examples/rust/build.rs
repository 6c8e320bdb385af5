fn main() {
    println!("cargo:rerun-if-env-changed=APUS_PREFIX");
    if let Ok(prefix) = std::env::var("APUS_PREFIX") {
        println!("cargo:rustc-link-search=native={prefix}/lib");
        println!("cargo:rustc-link-arg=-Wl,-rpath,{prefix}/lib");
    }
    println!("cargo:rustc-link-lib=dylib=apus");
}
