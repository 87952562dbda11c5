bmc_password="x"
  racks = {"r1"={row=1},"r2"={row=22}}
