//! `bmctl ramdisk`
