node "a" {
cpus=4
  memory_mb   =    8192

 x=1
    long_name_here = 2
 # between
  y=3
}
